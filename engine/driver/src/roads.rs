//! Which road the shards' packets take, by the configuration and by what the system allows.

use crate::config::{DriverChoice, EngineConfig};
use crate::failure::StartFailure;
use crate::packet::{self, PacketKeeper, PacketPlan, PacketRoad, Unopened};
use crate::plain::Plain;
use crate::socket_road::SocketRoad;
use crate::sockets::SocketPlan;
use crate::uring::Uring;

/// A road of the same kind for each shard.
pub(crate) enum Roads {
    Plain(Vec<SocketRoad<Plain>>),
    Uring(Vec<SocketRoad<Uring>>),
    Packet(Box<PacketKeeper>, Vec<PacketRoad>),
}

impl Roads {
    /// Checks and builds what was chosen.
    pub(crate) fn build(config: &EngineConfig, plan: SocketPlan) -> Result<Self, StartFailure> {
        match config.driver {
            DriverChoice::Plain => Ok(Self::plain(config, plan)),
            DriverChoice::IoUring => Self::uring(config, plan),
            DriverChoice::Auto => Ok(Self::sockets(config, plan)),
            DriverChoice::Packet => Self::packet(config, false),
            DriverChoice::PacketOrSockets => Self::packet_or_sockets(config, plan),
            DriverChoice::Xdp => Self::packet(config, true),
            DriverChoice::XdpOrSockets => Self::packet(config, true).or_else(|failure| {
                pass_over(failure, "using the packet driver if possible")?;
                Self::packet_or_sockets(config, plan)
            }),
        }
    }

    /// The road's name.
    pub(crate) fn driver(&self) -> &'static str {
        match self {
            Self::Plain(_) => "plain",
            Self::Uring(_) => "io_uring",
            Self::Packet(keeper, _) if keeper.is_xdp() => "xdp",
            Self::Packet(..) => "packet",
        }
    }

    /// Whether each stream has sockets of its own.
    pub(crate) fn has_sockets(&self) -> bool {
        !matches!(self, Self::Packet(..))
    }

    fn packet_or_sockets(config: &EngineConfig, plan: SocketPlan) -> Result<Self, StartFailure> {
        Self::packet(config, false).or_else(|failure| {
            pass_over(failure, "using a socket for each stream")?;
            Ok(Self::sockets(config, plan))
        })
    }

    /// `io_uring` where it works, else plain.
    fn sockets(config: &EngineConfig, plan: SocketPlan) -> Self {
        Self::uring(config, plan).unwrap_or_else(|failure| {
            tracing::warn!(%failure, "using the plain driver");
            Self::plain(config, plan)
        })
    }

    fn plain(config: &EngineConfig, plan: SocketPlan) -> Self {
        let road = |_| SocketRoad { network: Plain::new(), plan };
        Self::Plain((0..config.shards.len()).map(road).collect())
    }

    fn uring(config: &EngineConfig, plan: SocketPlan) -> Result<Self, StartFailure> {
        let failed =
            |shard, (call, error)| StartFailure::IoUring { shard: shard as u8, call, error };
        Uring::probe().map_err(|failure| failed(0, failure))?;
        let road = |shard| {
            let network = Uring::new().map_err(|failure| failed(shard, failure))?;
            Ok(SocketRoad { network, plan })
        };
        Ok(Self::Uring((0..config.shards.len()).map(road).collect::<Result<_, _>>()?))
    }

    fn packet(config: &EngineConfig, xdp: bool) -> Result<Self, StartFailure> {
        let plan = PacketPlan {
            address: config.bind,
            ports: config.ports,
            limits: &config.limits,
            receive_buffer_bytes: config.receive_buffer_bytes,
            stamps: config.arrival_timestamps,
            shards: config.shards.len(),
            xdp,
        };
        let (keeper, roads) = packet::open(&plan).map_err(|unopened| match unopened {
            Unopened::PortTaken(address, error) => StartFailure::PortTaken { address, error },
            Unopened::Call(call, error) if xdp => StartFailure::Xdp { call, error },
            Unopened::Call(call, error) => StartFailure::Packet { call, error },
        })?;
        Ok(Self::Packet(Box::new(keeper), roads))
    }
}

/// Another road is taken instead, but not where the ports are another's: sockets would hear nothing there.
fn pass_over(failure: StartFailure, instead: &str) -> Result<(), StartFailure> {
    if matches!(failure, StartFailure::PortTaken { .. }) {
        return Err(failure);
    }
    tracing::warn!(%failure, "{instead}");
    Ok(())
}
