{{/*
Name of the Secret of a block, in the order: the block's own, one of ours for a value given inline, the Secret for all.
That there is one at all is checked by skein.validate. root, block, inline (the value given inline), own (name of our
Secret).
*/}}
{{- define "skein.secretName" -}}
{{- if .block.existingSecret -}}
{{- .block.existingSecret -}}
{{- else if .inline -}}
{{- .own | default (printf "%s-secrets" (include "skein.fullname" .root)) -}}
{{- else -}}
{{- .root.Values.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* An environment variable from a Secret: env, and what skein.secretName takes. */}}
{{- define "skein.secretEnv" -}}
- name: {{ .env }}
  valueFrom:
    secretKeyRef:
      name: {{ include "skein.secretName" . }}
      key: {{ .block.key }}
{{- end -}}

{{/* DATABASE_URL of a service, and where it leads to a pooler DATABASE_DIRECT_URL: root, own, s (its settings). */}}
{{- define "skein.databaseEnv" -}}
{{- $one := dict "root" .root "own" .own "env" "DATABASE_URL" "block" .root.Values.database "inline" .root.Values.database.url -}}
{{- if .s.databaseSecret.existingSecret -}}
{{- $one = dict "root" .root "env" "DATABASE_URL" "block" .s.databaseSecret -}}
{{- end -}}
{{- include "skein.secretEnv" $one -}}
{{- with $one.block.directKey }}
{{ include "skein.secretEnv" (merge (dict "env" "DATABASE_DIRECT_URL" "block" (merge (dict "key" .) $one.block)) $one) }}
{{- end -}}
{{- end -}}

{{/* EVENTS_URL. */}}
{{- define "skein.eventsEnv" -}}
{{- $events := .Values.events -}}
{{- if eq $events.kind "postgres" -}}
- name: EVENTS_URL
  value: "postgres:"
{{- else if $events.existingSecret -}}
{{- include "skein.secretEnv" (dict "root" . "env" "EVENTS_URL" "block" $events) -}}
{{- else -}}
- name: EVENTS_URL
  value: {{ $events.url | quote }}
{{- end -}}
{{- end -}}

{{/* DISCOVERY_URL, after HOST_IP, which may be used in it. */}}
{{- define "skein.discoveryEnv" -}}
{{- $discovery := .Values.discovery -}}
- name: HOST_IP
  valueFrom:
    fieldRef:
      fieldPath: status.hostIP
{{ if eq $discovery.kind "static" -}}
{{- $edges := fromYaml (include "skein.edges" .) -}}
{{- $list := list -}}
{{- range $name, $service := $edges.services -}}
{{- if $service.callers -}}
{{- $list = append $list (printf "%s=%s:%d" $name (include "skein.host" (dict "root" $ "name" $name)) (int $.Values.ports.grpc)) -}}
{{- end -}}
{{- end -}}
- name: DISCOVERY_URL
  value: {{ printf "static:%s" (join "," $list) | quote }}
{{- else if $discovery.existingSecret -}}
{{- include "skein.secretEnv" (dict "root" . "env" "DISCOVERY_URL" "block" $discovery) -}}
{{- else -}}
{{- /* A name of its own in Consul: a release that shares it is not seen, and does not see this one. */}}
{{- $name := regexMatch "^consul://[^/]+$" $discovery.url | ternary (printf "/%s-%s" .Release.Namespace (include "skein.fullname" .)) "" }}
- name: DISCOVERY_URL
  value: {{ printf "%s%s" $discovery.url $name | quote }}
{{- end -}}
{{- end -}}

{{/* CONFIG_URL, where there is a config centre; after HOST_IP, which may be used in it. */}}
{{- define "skein.configCentreEnv" -}}
{{- $centre := .Values.configCentre -}}
{{- if eq $centre.kind "none" -}}
{{- else if $centre.existingSecret -}}
{{- include "skein.secretEnv" (dict "root" . "env" "CONFIG_URL" "block" $centre) -}}
{{- else -}}
{{- /* A folder of its own in Consul, as discovery has a name of its own. */}}
{{- $folder := regexMatch "^consul://[^/]+$" $centre.url | ternary (printf "/skein/config/%s-%s" .Release.Namespace (include "skein.fullname" .)) "" -}}
- name: CONFIG_URL
  value: {{ printf "%s%s" $centre.url $folder | quote }}
{{- end -}}
{{- end -}}

{{/* What is given inline, as the data of a Secret. Empty when everything is in Secrets of others. */}}
{{- define "skein.secretData" -}}
{{- with .Values.database }}{{ if and .url (not .existingSecret) }}
{{ .key }}: {{ .url | quote }}{{ end }}{{ end }}
{{- with .Values.internalSecret }}{{ if and .value (not .existingSecret) }}
{{ .key }}: {{ .value | quote }}{{ end }}{{ end }}
{{- with .Values.masterKey }}{{ if and .value (not .existingSecret) }}
{{ .key }}: {{ .value | quote }}{{ end }}{{ end }}
{{- with .Values.modelKey }}{{ if and .value (not .existingSecret) }}
{{ .key }}: {{ .value | quote }}{{ end }}{{ end }}
{{- end -}}
