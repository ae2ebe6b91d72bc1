{{/* An egress rule: to (peers), ports. */}}
{{- define "skein.egress" -}}
- to:
    {{- toYaml .to | nindent 4 }}
  ports:
    {{- range .ports }}
    - protocol: TCP
      port: {{ . }}
    {{- end }}
{{- end -}}

{{/* Egress everybody needs: names, and the control plane of the mesh. */}}
{{- define "skein.egressForAll" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
  ports:
    - protocol: UDP
      port: 53
    - protocol: TCP
      port: 53
{{- if .Values.istio.enabled }}
{{ include "skein.egress" (dict "to" .Values.networkPolicy.istiod "ports" (list 15012)) }}
{{- end }}
{{- end -}}

{{/* Egress to a component, unless nobody is named: then it stays closed. root, what (its key under networkPolicy). */}}
{{- define "skein.egressTo" -}}
{{- $peer := index .root.Values.networkPolicy .what -}}
{{- if $peer.to }}
{{ include "skein.egress" $peer }}
{{- end }}
{{- end -}}

{{/* Peers: the pods of other components of this release. root, names. */}}
{{- define "skein.peers" -}}
{{- range .names }}
- podSelector:
    matchLabels:
      {{- include "skein.selector" (dict "root" $.root "name" .) | nindent 6 }}
{{- end }}
{{- end -}}
