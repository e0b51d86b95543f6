"""Does the chart render what Kubernetes, Knative and our own kind accept, and refuse what cannot work?"""
