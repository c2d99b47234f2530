//! Rate limits: fixed windows of 60 seconds, per connection and per workspace (fact sheet, 5.1).

use std::collections::BTreeMap;

use super::workspace::Moment;

const WINDOW_MILLISECONDS: i64 = 60_000;

/// Who a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Connection(usize),
    Workspace,
}

/// Requests allowed per minute; `None` is without limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct RateLimits {
    /// For each connection.
    pub per_connection: Option<u32>,
    /// For all connections of the workspace together.
    pub per_workspace: Option<u32>,
}

/// The windows now open.
#[derive(Debug)]
pub(crate) struct Windows {
    pub(crate) limits: RateLimits,
    open: BTreeMap<Scope, (Moment, u32)>,
}

/// A request over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverLimit {
    /// Whole seconds until the window closes, at least 1.
    pub(crate) retry_after: u64,
    pub(crate) reason: &'static str,
}

impl Windows {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            open: BTreeMap::new(),
        }
    }

    /// Counts a request, or says that it is too many. A window opens with the first request after the last one closed.
    pub(crate) fn admit(&mut self, connection: usize, now: Moment) -> Result<(), OverLimit> {
        let limits = [
            (
                Scope::Connection(connection),
                self.limits.per_connection,
                "public_api_request_rate_limit",
            ),
            (
                Scope::Workspace,
                self.limits.per_workspace,
                "public_api_space_request_rate_limit",
            ),
        ];
        for (scope, limit, reason) in limits {
            let Some(limit) = limit else { continue };
            let (opened, count) = self.open.entry(scope).or_insert((now, 0));
            if now.0 - opened.0 >= WINDOW_MILLISECONDS || now.0 < opened.0 {
                (*opened, *count) = (now, 0);
            }
            if *count >= limit {
                let left = opened.0 + WINDOW_MILLISECONDS - now.0;
                return Err(OverLimit {
                    retry_after: (left.max(1) as u64).div_ceil(1000),
                    reason,
                });
            }
        }
        for (scope, limit, _) in limits {
            if let (Some(_), Some((_, count))) = (limit, self.open.get_mut(&scope)) {
                *count += 1;
            }
        }
        Ok(())
    }
}
