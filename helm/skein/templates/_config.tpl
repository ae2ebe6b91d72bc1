{{/* The settings of a service that are no secrets, as the data of its ConfigMap: root, name, s. */}}
{{- define "skein.configData" -}}
{{- $values := .root.Values -}}
GRPC_HOST: {{ $values.bindAddress | quote }}
GRPC_PORT: {{ $values.ports.grpc | quote }}
{{- if eq $values.metrics.monitor "none" }}
MANAGEMENT_HOST: 127.0.0.1
{{- else }}
MANAGEMENT_HOST: {{ $values.bindAddress | quote }}
{{- end }}
MANAGEMENT_PORT: {{ $values.ports.management | quote }}
{{- if and $values.istio.enabled (eq $values.discovery.kind "consul") }}
DISCOVERY_AUTHORITY_TEMPLATE: {{ include "skein.host" (dict "root" .root "name" "{service}") | quote }}
{{- end }}
{{- with $values.otlpEndpoint }}
OTEL_EXPORTER_OTLP_ENDPOINT: {{ . | quote }}
{{- end }}
{{- if has .name (list "gateway" "auth") }}
AUTH_ISSUER: {{ $values.issuer | quote }}
{{- end }}
{{- if eq .name "gateway" }}
HOST: {{ $values.bindAddress | quote }}
PORT: {{ $values.ports.http | quote }}
{{- if eq $values.expose.kind "none" }}
PUBLIC_URL: http://localhost:{{ $values.ports.http }}
TRUST_PROXY: "0"
BEHIND_TLS: "false"
{{- else }}
PUBLIC_URL: {{ printf "%s://%s" (ternary "https" "http" $values.expose.tls.enabled) $values.expose.host | quote }}
TRUST_PROXY: {{ $values.expose.proxies | quote }}
BEHIND_TLS: {{ $values.expose.tls.enabled | quote }}
{{- end }}
{{- end }}
{{- range $key, $value := .s.config }}
{{ $key }}: {{ kindIs "float64" $value | ternary (printf "%v" (int64 $value)) (toString $value) | quote }}
{{- end }}
{{- end -}}
