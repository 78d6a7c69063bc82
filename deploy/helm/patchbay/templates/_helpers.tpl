{{/* The name of all objects, short enough for the suffixes that follow it. */}}
{{- define "patchbay.name" -}}
{{- $default := contains "patchbay" .Release.Name | ternary .Release.Name (printf "%s-patchbay" .Release.Name) -}}
{{- .Values.fullnameOverride | default $default | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* The labels of pods, by which they are selected; each template adds its component. They never change, so a new version
     of the chart alone replaces no pod. */}}
{{- define "patchbay.selector" -}}
app.kubernetes.io/name: patchbay
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The labels of all objects. */}}
{{- define "patchbay.labels" -}}
{{ include "patchbay.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: patchbay
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The name of the service account. */}}
{{- define "patchbay.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "patchbay.name" .) "default" .Values.serviceAccount.create) -}}
{{- end }}
