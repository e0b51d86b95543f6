{{- define "flstore.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains "flstore" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-flstore" (.Release.Name | trunc 32 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "flstore.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" -}}
{{- end -}}

{{/* Labels that select the pods of one part. Takes (list . "component"). */}}
{{- define "flstore.selector" -}}
app.kubernetes.io/name: flstore
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of an object. Takes (list . "component"). */}}
{{- define "flstore.labels" -}}
{{ include "flstore.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ include "flstore.chart" (index . 0) }}
{{- end -}}

{{/* Name, namespace and labels of an object. Takes (list . "suffix" "component"). */}}
{{- define "flstore.metadata" -}}
name: {{ include "flstore.fullname" (index . 0) }}-{{ index . 1 }}
namespace: {{ (index . 0).Release.Namespace }}
labels:
  {{- include "flstore.labels" (list (index . 0) (index . 2)) | nindent 2 }}
{{- end -}}

{{/* Takes (list . .Values.image). */}}
{{- define "flstore.image" -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default (index . 0).Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "flstore.storeSecret" -}}
{{- default (printf "%s-store" (include "flstore.fullname" .)) .Values.objectStore.existingSecret -}}
{{- end -}}

{{/* Whether the chart makes users of its own in the bundled store; "" if not. */}}
{{- define "flstore.makesUsers" -}}
{{- if and (eq .Values.objectStore.kind "seaweedfs") (not .Values.objectStore.existingSecret) -}}true{{- end -}}
{{- end -}}

{{/* The Secret of those who read the store and never write: shards and predictors. */}}
{{- define "flstore.readerSecret" -}}
{{- if .Values.objectStore.readerSecret -}}
{{- .Values.objectStore.readerSecret -}}
{{- else if include "flstore.makesUsers" . -}}
{{- include "flstore.storeSecret" . }}-reader
{{- else -}}
{{- include "flstore.storeSecret" . -}}
{{- end -}}
{{- end -}}

{{- define "flstore.tokensSecret" -}}
{{- if .Values.auth.existingSecret -}}
{{- .Values.auth.existingSecret -}}
{{- else if .Values.auth.tokens -}}
{{- include "flstore.fullname" . }}-tokens
{{- end -}}
{{- end -}}

{{- define "flstore.keysSecret" -}}
{{- default (printf "%s-keys" (include "flstore.fullname" .)) .Values.auth.serviceKeysSecret -}}
{{- end -}}

{{- define "flstore.storeEndpoint" -}}
{{- if eq .Values.objectStore.kind "external" -}}
{{- .Values.objectStore.endpoint -}}
{{- else -}}
{{- printf "http://%s-store.%s.svc:9000" (include "flstore.fullname" .) .Release.Namespace -}}
{{- end -}}
{{- end -}}

{{- define "flstore.storeURL" -}}
{{- $store := .Values.objectStore -}}
{{- $path := ternary (printf "%s/%s" $store.bucket (trimAll "/" $store.prefix)) $store.bucket (ne $store.prefix "") -}}
{{- printf "s3://%s?%sregion=%s%s" $path (include "flstore.storeEndpoint" . | urlquery | printf "endpoint=%s&" | trimPrefix "endpoint=&") ($store.region | urlquery) (ternary "" (printf "&style=%s" $store.style) (eq $store.style "auto")) -}}
{{- end -}}

{{/* A size such as 512MiB, 1.5GB, 1Gi or 4096 in bytes. */}}
{{- define "flstore.bytes" -}}
{{- $factors := dict "" 1 "b" 1 "k" 1024 "ki" 1024 "kib" 1024 "kb" 1000 "m" 1048576 "mi" 1048576 "mib" 1048576 "mb" 1000000 "g" 1073741824 "gi" 1073741824 "gib" 1073741824 "gb" 1000000000 "t" 1099511627776 "ti" 1099511627776 "tib" 1099511627776 "tb" 1000000000000 -}}
{{- $text := . -}}
{{- if kindIs "float64" $text -}}{{- $text = int64 $text -}}{{- end -}}
{{- $text = toString $text | replace " " "" -}}
{{- $unit := regexFind "[A-Za-z]*$" $text | lower -}}
{{- mulf (float64 (regexFind "^[0-9.]+" $text)) (float64 (get $factors $unit)) | int64 -}}
{{- end -}}

{{/* A quantity of memory as Kubernetes reads it, such as 512Mi or 1G, in bytes: its G is 10^9, where that of a size is 2^30. */}}
{{- define "flstore.quantity" -}}
{{- $factors := dict "" 1.0 "m" 0.001 "k" 1000.0 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- $text := . -}}
{{- if kindIs "float64" $text -}}{{- $text = int64 $text -}}{{- end -}}
{{- $text = toString $text -}}
{{- mulf (float64 (regexFind "^[0-9.]+" $text)) (get $factors (regexFind "[A-Za-z]*$" $text)) | int64 -}}
{{- end -}}

{{/* Where the gateway leads browsers: the console's address, or its path below the gateway's host; "" for none. */}}
{{- define "flstore.consoleUrl" -}}
{{- if .Values.console.enabled -}}{{- .Values.console.url | default .Values.console.rootPath -}}{{- end -}}
{{- end -}}

{{/* Whether everybody who reaches Grafana may look: `auto` is for those who come through the API server. */}}
{{- define "flstore.grafanaAnonymous" -}}
{{- $grafana := .Values.observability.grafana -}}
{{- ternary (not $grafana.nodePort) $grafana.anonymous (eq (toString $grafana.anonymous) "auto") -}}
{{- end -}}

{{/* Whether to make a PodMonitor and a PrometheusRule; "" if not. */}}
{{- define "flstore.podMonitor" -}}
{{- $choice := toString .Values.observability.podMonitor.enabled -}}
{{- $known := .Capabilities.APIVersions.Has "monitoring.coreos.com/v1/PodMonitor" -}}
{{- if and (not .Values.observability.bundled) (or (eq $choice "true") (and (eq $choice "auto") $known)) -}}true{{- end -}}
{{- end -}}
