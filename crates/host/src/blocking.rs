//! The way from async ports to blocking calls.

/// Runs a short blocking call on a thread of the runtime's pool. Dropping the future leaves the call running to its end.
pub(crate) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(call).await {
        Ok(value) => value,
        Err(stopped) if stopped.is_panic() => std::panic::resume_unwind(stopped.into_panic()),
        // The pool refuses calls only when the runtime shuts down, and then nobody polls this future again.
        Err(_) => std::future::pending().await,
    }
}
