//! HTTP: webhooks, the API, metrics and the dashboard.
