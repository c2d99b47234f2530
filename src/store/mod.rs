//! The sync state in schema `frames_sync`.
