{{/* What the schema cannot say: values that exclude each other. Each fault is one sentence; all are told at once. */}}
{{- define "skein.validate" -}}
{{- $faults := list -}}
{{- $single := "" -}}
{{- if eq .Values.events.kind "postgres" -}}
{{- $single = "events.kind is postgres, which carries no live frames between replicas: use nats" -}}
{{- else if eq .Values.discovery.kind "static" -}}
{{- $single = "discovery.kind is static, which finds one pod of a service: use consul" -}}
{{- end -}}
{{- if not (regexMatch "^[a-z]" (include "skein.fullname" .)) -}}
{{- $faults = append $faults (printf "%s cannot begin the name of a Service, which begins with a letter: set fullnameOverride" (include "skein.fullname" .)) -}}
{{- end -}}
{{- $edges := fromYaml (include "skein.edges" .) -}}
{{- range $name, $_ := .Values.services -}}
{{- $s := fromYaml (include "skein.settings" (dict "root" $ "name" $name)) -}}
{{- $set := list -}}
{{- range fromYamlArray (include "skein.env" (dict "root" $ "name" $name "s" (omit $s "extraEnv") "edges" (index $edges.services $name))) -}}
{{- $set = append $set .name -}}
{{- end -}}
{{- range $s.extraEnv -}}
{{- if has .name $set -}}
{{- $faults = append $faults (printf "extraEnv of %s names %s, which is already there: leave it out" $name .name) -}}
{{- end -}}
{{- $set = append $set .name -}}
{{- end -}}
{{- if and (eq $.Values.events.kind "postgres") $s.databaseSecret.existingSecret -}}
{{- $faults = append $faults (printf "databaseSecret of %s gives it a database user of its own, who may not use the tables that all share with events.kind postgres: use nats, or one user" $name) -}}
{{- end -}}
{{- if and $s.autoscaling.enabled (not (dig "requests" "cpu" "" $s.resources)) -}}
{{- $faults = append $faults (printf "autoscaling of %s is by the CPU it requests, and it requests none: set resources.requests.cpu" $name) -}}
{{- end -}}
{{- if and $single (or $s.autoscaling.enabled (gt (int $s.replicas) 1)) -}}
{{- $faults = append $faults (printf "%s wants more than one replica, but %s, or set its replicas to 1 and autoscaling.enabled to false" $name $single) -}}
{{- end -}}
{{- if and $s.autoscaling.enabled (gt (int $s.autoscaling.minReplicas) (int $s.autoscaling.maxReplicas)) -}}
{{- $faults = append $faults (printf "autoscaling.minReplicas of %s is above its maxReplicas" $name) -}}
{{- end -}}
{{- end -}}
{{- range $block, $inline := dict "database" .Values.database.url "internalSecret" .Values.internalSecret.value "masterKey" .Values.masterKey.value -}}
{{- $given := index $.Values $block -}}
{{- if not (or $inline $given.existingSecret $.Values.existingSecret) -}}
{{- $faults = append $faults (printf "%s is missing: set existingSecret to a Secret with the key %q (README.md says how to make one)" $block $given.key) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.metrics.rules (eq .Values.metrics.monitor "none") -}}
{{- $faults = append $faults "metrics.rules asks for metrics that nobody scrapes: set metrics.monitor to podMonitor or serviceMonitor" -}}
{{- end -}}
{{- if and .Values.internalSecret.alsoKey .Values.internalSecret.value (not .Values.internalSecret.existingSecret) -}}
{{- $faults = append $faults "internalSecret.alsoKey is a key of a Secret, and internalSecret.value is given inline: set internalSecret.existingSecret to a Secret with both" -}}
{{- end -}}
{{- if and .Values.database.directKey .Values.database.url (not .Values.database.existingSecret) -}}
{{- $faults = append $faults "database.directKey is a key of a Secret, and database.url is given inline: set database.existingSecret to a Secret with both" -}}
{{- end -}}
{{- if and (ne .Values.expose.kind "none") (not .Values.expose.host) -}}
{{- $faults = append $faults (printf "expose.host is missing: the public host name, for expose.kind %s" .Values.expose.kind) -}}
{{- end -}}
{{- if and (eq .Values.expose.kind "gateway-api") (not .Values.expose.parentRefs) -}}
{{- $faults = append $faults "expose.parentRefs is missing: the Gateway that the HTTPRoute belongs to" -}}
{{- end -}}
{{- if and (eq .Values.events.kind "nats") (not .Values.events.url) (not .Values.events.existingSecret) -}}
{{- $faults = append $faults "events.url is missing: nats://host:port, or events.existingSecret with it" -}}
{{- end -}}
{{- if and (eq .Values.discovery.kind "consul") (not .Values.discovery.url) (not .Values.discovery.existingSecret) -}}
{{- $faults = append $faults "discovery.url is missing: consul://host:port, or discovery.existingSecret with it" -}}
{{- end -}}
{{- if and (eq .Values.configCentre.kind "consul") (not .Values.configCentre.url) (not .Values.configCentre.existingSecret) -}}
{{- $faults = append $faults "configCentre.url is missing: consul://host:port, or configCentre.existingSecret with it" -}}
{{- end -}}
{{- if and (eq .Values.istio.jwt.keys "inline") (not .Values.istio.jwt.jwks) -}}
{{- $faults = append $faults "istio.jwt.jwks is missing: the answer of /.well-known/jwks.json, for istio.jwt.keys inline" -}}
{{- else if and (eq .Values.istio.jwt.keys "inline") (not (hasKey (fromJson .Values.istio.jwt.jwks) "keys")) -}}
{{- $faults = append $faults "istio.jwt.jwks is no key set: it is the answer of /.well-known/jwks.json, whole" -}}
{{- end -}}
{{- if .Values.networkPolicy.enabled -}}
{{- $needed := list "database" -}}
{{- if eq .Values.events.kind "nats" -}}{{- $needed = append $needed "events" -}}{{- end -}}
{{- if has "consul" (list .Values.discovery.kind .Values.configCentre.kind) -}}{{- $needed = append $needed "discovery" -}}{{- end -}}
{{- range $needed -}}
{{- if not (index $.Values.networkPolicy .).to -}}
{{- $faults = append $faults (printf "networkPolicy.%s.to is empty, so nobody reaches it: name its peers, such as [{ipBlock: {cidr: 192.0.2.10/32}}]" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $ports := list (int .Values.ports.grpc) (int .Values.ports.management) (int .Values.ports.http) -}}
{{- if ne (len ($ports | uniq)) 3 -}}
{{- $faults = append $faults "ports.grpc, ports.management and ports.http must be three different numbers" -}}
{{- end -}}
{{- /* Only of a cluster is known what it has: without one, Helm knows no kinds but groups, and nothing is said. */ -}}
{{- if .Capabilities.APIVersions.Has "v1/Pod" -}}
{{- $wanted := dict -}}
{{- if .Values.istio.enabled -}}{{- $_ := set $wanted "istio.enabled" (list "security.istio.io/v1" "Istio 1.22 or newer") -}}{{- end -}}
{{- if eq .Values.expose.kind "gateway-api" -}}{{- $_ := set $wanted "expose.kind gateway-api" (list "gateway.networking.k8s.io/v1" "the Gateway API") -}}{{- end -}}
{{- if ne .Values.metrics.monitor "none" -}}{{- $_ := set $wanted (printf "metrics.monitor %s" .Values.metrics.monitor) (list "monitoring.coreos.com/v1" "the Prometheus operator") -}}{{- end -}}
{{- if .Values.metrics.rules -}}{{- $_ := set $wanted "metrics.rules" (list "monitoring.coreos.com/v1" "the Prometheus operator") -}}{{- end -}}
{{- range $value, $need := $wanted -}}
{{- if not ($.Capabilities.APIVersions.Has (index $need 0)) -}}
{{- $faults = append $faults (printf "%s needs %s, and this cluster has no %s: install that first, or leave the value out" $value (index $need 1) (index $need 0)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $faults -}}
{{- fail (printf "\n\nThese values do not go together:\n  - %s\n" (join "\n  - " $faults)) -}}
{{- end -}}
{{- end -}}
