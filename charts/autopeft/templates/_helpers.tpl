{{/* The chart's name. */}}
{{- define "autopeft.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of the release's objects; at most 50 characters, so that suffixes fit. */}}
{{- define "autopeft.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "autopeft.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "autopeft.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Labels by which the operator's pods are selected. */}}
{{- define "autopeft.selector" -}}
app.kubernetes.io/name: {{ include "autopeft.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{/* Labels of every object. */}}
{{- define "autopeft.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "autopeft.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "autopeft.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "autopeft.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The one namespace that is watched; empty if all are. */}}
{{- define "autopeft.watched" -}}
{{- if not .Values.watch.clusterWide }}
{{- default .Release.Namespace .Values.watch.namespace }}
{{- end }}
{{- end }}

{{/* An image's reference: (dict "image" .Values.image "chart" .Chart). */}}
{{- define "autopeft.image" -}}
{{- if .image.digest }}
{{- printf "%s@%s" .image.repository .image.digest }}
{{- else }}
{{- printf "%s:%s" .image.repository (default .chart.AppVersion .image.tag) }}
{{- end }}
{{- end }}

{{/* The operator's permissions on searches, their Jobs and pods; nothing else. */}}
{{- define "autopeft.rules" -}}
- apiGroups: [autopeft.dev]
  resources: [peftsearches]
  verbs: [get, list, watch, delete]
- apiGroups: [autopeft.dev]
  resources: [peftsearches/status]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch, list]
{{- end }}
