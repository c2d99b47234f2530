//! Observes, plans and applies, once or on every trigger.
