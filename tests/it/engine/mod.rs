//! The engine over both sides in memory: protocols, tables and budgets, without a socket.

mod contract;
mod cycle;
mod faults;
mod pages;
mod presence;
mod world;
