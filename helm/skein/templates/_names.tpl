{{- define "skein.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains "skein" .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-skein" .Release.Name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The host of a service: root, name. */}}
{{- define "skein.host" -}}
{{ include "skein.fullname" .root }}-{{ .name }}.{{ .root.Release.Namespace }}.svc.{{ .root.Values.clusterDomain }}
{{- end -}}

{{/* The identity of a service under Istio: root, name. */}}
{{- define "skein.principal" -}}
{{ .root.Values.istio.trustDomain }}/ns/{{ .root.Release.Namespace }}/sa/{{ include "skein.fullname" .root }}-{{ .name }}
{{- end -}}

{{/* What is selected by: root, name of the component. It never changes over the life of a release. */}}
{{- define "skein.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{/* Selects every pod of the release. */}}
{{- define "skein.all" -}}
app.kubernetes.io/part-of: skein
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of a pod: root, name of the component. Without the chart's version: it alone must not replace pods. */}}
{{- define "skein.podLabels" -}}
{{ include "skein.selector" . }}
app.kubernetes.io/part-of: skein
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | trunc 63 | trimSuffix "-" | trimSuffix "." | quote }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of an object: root, name of the component. */}}
{{- define "skein.labels" -}}
{{ include "skein.podLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Name, namespace and labels of an object: root, name of the component, suffix of the object's name. */}}
{{- define "skein.metadata" -}}
name: {{ include "skein.fullname" .root }}-{{ .suffix | default .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "skein.labels" . | nindent 2 }}
{{- end -}}

{{/* What one service is told, its own over the defaults, as YAML: root, name. */}}
{{- define "skein.settings" -}}
{{- toYaml (mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (index .root.Values.services .name | default dict))) -}}
{{- end -}}

{{/* Who calls whom and who uses what, made from the code: see files/edges.yaml. */}}
{{- define "skein.edges" -}}
{{- .Files.Get "files/edges.yaml" -}}
{{- end -}}

{{/* True when more than one pod of the service is wanted: its settings. */}}
{{- define "skein.several" -}}
{{- if or (and .autoscaling.enabled (gt (int .autoscaling.minReplicas) 1)) (and (not .autoscaling.enabled) (gt (int .replicas) 1)) -}}true{{- end -}}
{{- end -}}
