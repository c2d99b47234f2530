//! What `serve` remembers beside the engine's state, each in a transaction of its own.

use secrecy::SecretString;
use sqlx::PgConnection;

use super::{ProfileDatabase, commit, state_error};
use crate::ports::{BoxFuture, ConflictTally, Enrolment, StoreError};

impl ProfileDatabase {
    /// The profile's webhook subscription.
    ///
    /// # Errors
    /// When the database fails.
    pub fn enrolment(&self) -> BoxFuture<'_, Result<Enrolment, StoreError>> {
        in_transaction!(self, "read the webhook subscription", |connection| self
            .state
            .enrolment(connection))
    }

    /// Lets one handshake in within the next ten minutes; answers whether it may come: not over a stored token,
    /// unless that may be replaced.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open_enrolment(&self, may_replace: bool) -> BoxFuture<'_, Result<bool, StoreError>> {
        in_transaction!(self, "open the enrolment", |connection| self
            .state
            .open_enrolment(connection, may_replace))
    }

    /// Takes a handshake's token if one may come now, after which none may; answers whether it was taken.
    ///
    /// # Errors
    /// When the database fails.
    pub fn enrol<'a>(&'a self, token: &'a SecretString) -> BoxFuture<'a, Result<bool, StoreError>> {
        in_transaction!(self, "enrol the webhook subscription", |connection| self
            .state
            .enrol(connection, token))
    }

    /// Remembers the connection that the first signed delivery named; answers whether it is the one remembered.
    ///
    /// # Errors
    /// When the database fails.
    pub fn pin_integration<'a>(&'a self, integration: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        in_transaction!(self, "pin the webhook subscription", |connection| self
            .state
            .pin_integration(connection, integration))
    }

    /// Forgets the subscription, and answers whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_enrolment(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        in_transaction!(self, "forget the webhook subscription", |connection| self
            .state
            .forget_enrolment(connection))
    }

    /// The conflicts opened in the last day, counted by what is known of them.
    ///
    /// # Errors
    /// When the database fails.
    pub fn conflicts_of_a_day(&self) -> BoxFuture<'_, Result<Vec<ConflictTally>, StoreError>> {
        in_transaction!(self, "count conflicts", |connection| self
            .state
            .conflicts_of_a_day(connection))
    }
}
