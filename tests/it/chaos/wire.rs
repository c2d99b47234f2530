//! A wire that can be cut: every connection of one process to one server goes through it.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// Where a wire leads.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// A port of this machine.
    Port(u16),
    /// A socket.
    Socket(PathBuf),
}

/// A wire; dropping it cuts it for good.
pub(super) struct Wire {
    port: u16,
    cuts: watch::Sender<u64>,
    listening: tokio::task::JoinHandle<()>,
}

impl Wire {
    /// A new one, with a port of its own.
    pub(super) async fn to(end: End) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (cuts, cut) = watch::channel(0);
        let listening = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let mut cut = cut.clone();
                cut.mark_unchanged();
                let end = end.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = carry(near, end) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Ok(Self {
            port,
            cuts,
            listening,
        })
    }

    /// The near end, on 127.0.0.1.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Cuts whatever goes through it now.
    pub(super) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn carry(near: TcpStream, end: End) -> io::Result<()> {
    near.set_nodelay(true)?;
    match end {
        End::Port(port) => {
            let far = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            far.set_nodelay(true)?;
            both_ways(near, far).await
        }
        End::Socket(path) => both_ways(near, UnixStream::connect(path).await?).await,
    }
}

async fn both_ways(mut near: TcpStream, mut far: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    copy_bidirectional(&mut near, &mut far).await.map(drop)
}
