{{/* What every pod of ours has: no root, no writable root file system, no token of the API it does not use. */}}
{{- define "flstore.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "flstore.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "flstore.scheduling" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Environment by which a service reaches the object store. */}}
{{- define "flstore.storeEnv" -}}
- name: FLSTORE_STORE
  value: {{ include "flstore.storeURL" . | quote }}
- name: FLSTORE_S3_GIVE_UP_S
  value: {{ .Values.objectStore.giveUpSeconds | quote }}
{{- if eq .Values.objectStore.credentials "secret" }}
- name: FLSTORE_S3_ACCESS_KEY
  valueFrom:
    secretKeyRef: {name: {{ include "flstore.storeSecret" . }}, key: FLSTORE_S3_ACCESS_KEY}
- name: FLSTORE_S3_SECRET_KEY
  valueFrom:
    secretKeyRef: {name: {{ include "flstore.storeSecret" . }}, key: FLSTORE_S3_SECRET_KEY}
{{- end }}
{{- end -}}

{{/* What keeps a bundled store, a program in Go, below its limit: near to it, Go collects what else would be left lying. */}}
{{- define "flstore.storeMemory" -}}
- name: GOMEMLIMIT
  value: {{ div (mul (include "flstore.quantity" .Values.objectStore.resources.limits.memory | int64) 8) 10 | quote }}
{{- end -}}

{{/* Environment by which our services know each other. */}}
{{- define "flstore.keysEnv" -}}
- name: FLSTORE_SERVICE_KEYS
  valueFrom:
    secretKeyRef: {name: {{ include "flstore.keysSecret" . }}, key: FLSTORE_SERVICE_KEYS}
{{- if .Values.auth.admitUnsigned }}
- name: FLSTORE_ADMIT_UNSIGNED
  value: "true"
{{- end }}
{{- end -}}

{{/* Environment of anything that serves HTTP. Takes (list . port). */}}
{{- define "flstore.listenEnv" -}}
- name: FLSTORE_HOST
  value: "0.0.0.0"
- name: FLSTORE_PORT
  value: {{ index . 1 | quote }}
- name: FLSTORE_LOG_LEVEL
  value: {{ (index . 0).Values.logLevel }}
{{- end -}}

{{/* The same, of what sends traces too. */}}
{{- define "flstore.serveEnv" -}}
{{- include "flstore.listenEnv" . }}
{{- with (index . 0).Values.observability.otlp.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Who may read metrics: peers of a NetworkPolicy, or nothing. */}}
{{- define "flstore.scrapers" }}
{{- if .Values.observability.bundled }}
- podSelector:
    matchLabels:
      {{- include "flstore.selector" (list . "prometheus") | nindent 6 }}
{{- end }}
{{- with .Values.networkPolicy.metricsFrom }}
- namespaceSelector:
    matchLabels:
      {{- toYaml . | nindent 6 }}
{{- end }}
{{- end }}
