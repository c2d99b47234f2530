//! The sample FRAMES data, and the story that `demo` tells.

pub mod sample;
