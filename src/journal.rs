//! Intents and their outcomes, as values.
