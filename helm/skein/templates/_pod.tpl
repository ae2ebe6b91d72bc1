{{- define "skein.image" -}}
{{- $image := .s.image -}}
{{- $own := printf "%s/%s" .root.Values.image.repository .name -}}
{{- $name := $image.repository | default (empty .root.Values.image.registry | ternary $own (printf "%s/%s" .root.Values.image.registry $own)) -}}
{{- $tag := $image.tag | default .root.Values.image.tag | default .root.Chart.AppVersion -}}
{{- if $image.digest -}}{{ $name }}:{{ $tag }}@{{ $image.digest }}{{- else -}}{{ $name }}:{{ $tag }}{{- end -}}
{{- end -}}

{{/* PodSecurity "restricted", for the pod. */}}
{{- define "skein.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* PodSecurity "restricted", for a container, and nothing to write to but /tmp. */}}
{{- define "skein.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Annotations for Istio's sidecar. */}}
{{- define "skein.sidecarAnnotations" -}}
{{- if and .Values.istio.enabled .Values.istio.nativeSidecars }}
sidecar.istio.io/nativeSidecar: "true"
proxy.istio.io/config: '{"holdApplicationUntilProxyStarts": true}'
{{- end }}
{{- $ports := list }}
{{- range list .Values.discovery .Values.configCentre }}
{{- if and (eq .kind "consul") (contains "$(HOST_IP)" .url) }}
{{- $ports = append $ports (regexReplaceAll "^[^)]*[)]:?([0-9]*).*$" .url "${1}" | default "8500") }}
{{- end }}
{{- end }}
{{- if and .Values.istio.enabled $ports }}
# The agent of a node has the node's address, which belongs to no Service: the proxy would refuse it.
traffic.sidecar.istio.io/excludeOutboundPorts: {{ join "," ($ports | uniq) | quote }}
{{- end }}
{{- end -}}

{{/* Environment of a service: root, name, s, edges (its entry in files/edges.yaml), own (as in skein.secretName). */}}
{{- define "skein.env" -}}
- name: INSTANCE_ID
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: DISCOVERY_ADDRESS
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
{{ include "skein.discoveryEnv" .root }}
{{- with include "skein.configCentreEnv" .root }}
{{ . }}
{{- end }}
{{ include "skein.secretEnv" (dict "root" .root "env" "INTERNAL_SECRET" "block" .root.Values.internalSecret "inline" .root.Values.internalSecret.value "own" .own) }}
{{- with .root.Values.internalSecret.alsoKey }}
{{ include "skein.secretEnv" (dict "root" $.root "env" "INTERNAL_SECRET_ALSO" "block" (merge (dict "key" .) $.root.Values.internalSecret)) }}
{{- end }}
{{- if .edges.database }}
{{ include "skein.databaseEnv" (dict "root" .root "s" .s "own" .own) }}
{{- end }}
{{- if .edges.events }}
{{ include "skein.eventsEnv" .root }}
{{- end }}
{{- if eq .name "auth" }}
{{ include "skein.secretEnv" (dict "root" .root "env" "AUTH_MASTER_KEY" "block" .root.Values.masterKey "inline" .root.Values.masterKey.value "own" .own) }}
{{- end }}
{{- if and (eq .name "agent") (or .root.Values.modelKey.existingSecret .root.Values.modelKey.value) }}
{{ include "skein.secretEnv" (dict "root" .root "env" "AGENT_MODEL_KEY" "block" .root.Values.modelKey "inline" .root.Values.modelKey.value "own" .own) }}
{{- end }}
{{- with .s.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* All three probes ask the same thing: gRPC health, which is served last and says NOT_SERVING first. */}}
{{- define "skein.probes" -}}
startupProbe:
  grpc: { port: {{ .Values.ports.grpc }} }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ div (add (int .Values.rollout.startSeconds) 1) 2 }}
readinessProbe:
  grpc: { port: {{ .Values.ports.grpc }} }
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  grpc: { port: {{ .Values.ports.grpc }} }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{/* Where the pods of a service go: root, name, s. */}}
{{- define "skein.placement" -}}
{{- if .root.Values.spread.enabled }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $.root.Values.spread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "skein.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- with .s.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .s.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .s.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .s.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}
