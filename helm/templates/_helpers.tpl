{{/* Name of everything in this release. */}}
{{- define "homeserver-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name of cluster-scoped objects: releases of the same name live in several namespaces. */}}
{{- define "homeserver-operator.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "homeserver-operator.fullname" .) -}}
{{- end -}}

{{- define "homeserver-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "homeserver-operator.labels" -}}
{{ include "homeserver-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "homeserver-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "homeserver-operator.fullname" .) -}}
{{- else -}}
{{- required "serviceAccount.name: name the ServiceAccount to use, or set serviceAccount.create to true" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "homeserver-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "homeserver-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* Full reference of one of our images; call with (dict "root" $ "name" "operator"). */}}
{{- define "homeserver-operator.image" -}}
{{- $images := .root.Values.images -}}
{{- $image := get $images .name -}}
{{- if $image.image -}}
{{- $image.image -}}
{{- else if $images.registry -}}
{{- printf "%s/%s:%s" $images.registry $image.repository ($image.tag | default .root.Chart.AppVersion) -}}
{{- else -}}
{{- fail (printf "\n\nimages.registry: not set, so there is no image for the %s. No public registry holds the images of this project yet: build and push them, then install with\n  --set images.registry=<registry>/<path>\nor name each image in full:\n  --set images.operator.image=<image> --set images.runtime.image=<image> --set images.router.image=<image>\n" .name) -}}
{{- end -}}
{{- end -}}

{{/* Namespaces of the namespaced mode, as a JSON list; fails if the modes contradict each other. */}}
{{- define "homeserver-operator.namespaces" -}}
{{- if and .Values.clusterWide .Values.watchNamespaces -}}
{{- fail "\n\nwatchNamespaces: cannot be set together with clusterWide; empty one of the two" -}}
{{- end -}}
{{- if .Values.clusterWide -}}
[]
{{- else -}}
{{- .Values.watchNamespaces | default (list .Release.Namespace) | uniq | toJson -}}
{{- end -}}
{{- end -}}
