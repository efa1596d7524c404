//! A TCP proxy in front of a server that can be cut: then no bytes pass, and connections stay open. It can be turned to another
//! server.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The most bytes that are copied at once.
const CHUNK_BYTES: usize = 16 << 10;

/// A proxy that copies bytes in both directions until it is cut.
#[derive(Debug)]
pub(crate) struct TcpProxy {
    address: SocketAddr,
    is_cut: watch::Sender<bool>,
    server: watch::Sender<SocketAddr>,
}

impl TcpProxy {
    /// A proxy of this server.
    ///
    /// # Panics
    /// If no port is free.
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("this machine has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let is_cut = watch::Sender::new(false);
        let server = watch::Sender::new(server);
        let (cut, servers) = (is_cut.subscribe(), server.subscribe());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(join(near, servers.clone(), cut.clone()));
            }
        });
        Self { address, is_cut, server }
    }

    /// Where it listens.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts it: connections stay open, and no bytes pass.
    pub(crate) fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Leads to another server from now on. Open connections end.
    pub(crate) fn turn_to(&self, server: SocketAddr) {
        self.server.send_replace(server);
    }

    /// Mends it: bytes that were held back pass.
    pub(crate) fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

async fn join(near: TcpStream, mut servers: watch::Receiver<SocketAddr>, mut cut: watch::Receiver<bool>) {
    let _ = cut.wait_for(|is_cut| !is_cut).await;
    let server = *servers.borrow_and_update();
    let Ok(far) = TcpStream::connect(server).await else { return };
    let ((near_reads, near_writes), (far_reads, far_writes)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = carry(near_reads, far_writes, cut.clone()) => {}
        () = carry(far_reads, near_writes, cut) => {}
        Ok(()) = servers.changed() => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut cut: watch::Receiver<bool>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        if cut.wait_for(|is_cut| !is_cut).await.is_err() || to.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
}
