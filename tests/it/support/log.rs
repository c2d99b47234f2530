//! What the product logs.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// Runs a call while everything that is logged is caught.
pub(crate) async fn logged<T>(call: impl Future<Output = T>) -> (T, String) {
    #[derive(Clone, Default)]
    struct Caught(Arc<Mutex<Vec<u8>>>);
    impl Write for Caught {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let caught = Caught::default();
    let writer = caught.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let value = call.await;
    drop(guard);
    let bytes = caught.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (value, String::from_utf8_lossy(&bytes).into_owned())
}
