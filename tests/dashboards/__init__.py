"""Do the dashboards and alerts ask for what the services really measure? A real Prometheus is asked."""
