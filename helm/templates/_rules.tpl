{{/*
What the operator may do where it runs HomeServers: the same rules in a Role of each watched
namespace or in one ClusterRole. A test holds them to the kinds that the operator manages.
*/}}
{{- define "homeserver-operator.rules" -}}
- apiGroups: [homeserver-operator.io]
  resources: [homeservers]
  verbs: [get, list, watch]
- apiGroups: [homeserver-operator.io]
  resources: [homeservers/status]
  verbs: [patch]
# Where the API server checks who may block an owner's deletion (OpenShift does), its children's
# owner references need this; the operator itself never touches finalizers.
- apiGroups: [homeserver-operator.io]
  resources: [homeservers/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [configmaps, secrets, serviceaccounts, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
# Volumes hold people's data: the operator cannot delete them.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [ingresses, networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
# The router's agent asks where the pods are. Nobody can grant it what they may not do themselves,
# so the operator may, too, and can grant nothing else.
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
# Two that a cluster may lack; used where a HomeServer's spec.ingress.controller asks for them.
- apiGroups: [traefik.io]
  resources: [ingressroutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# Through their ReplicaSets old pods are let go when their successors are warm.
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [get, list]
- apiGroups: [apps]
  resources: [replicasets/scale]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}
