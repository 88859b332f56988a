//! Which core does what.

use crate::config::Shards;

/// Most shards that are started without being asked for.
const SHARDS_AUTO_MAX: usize = 4;

/// Where the shards and the control plane run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The core of each shard.
    pub(crate) shards: Vec<usize>,
    /// The cores that are left for everything else; empty: it shares those of the shards.
    pub(crate) control: Vec<usize>,
}

/// Cores that the process may not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forbidden {
    /// Which.
    pub(crate) cores: Vec<usize>,
    /// Which it may use.
    pub(crate) allowed: Vec<usize>,
}

impl Placement {
    /// Divides the cores that the process may use (taskset, cgroups). Shards get the last ones,
    /// because the system's own work tends to be on the first; where there are more shards than
    /// cores, they share.
    pub(crate) fn of(config: &Shards, allowed: &[usize]) -> Result<Self, Forbidden> {
        let candidates: Vec<usize> = match &config.cores {
            Some(cores) => cores.clone(),
            None => allowed.iter().rev().copied().collect(),
        };
        let cores: Vec<usize> =
            candidates.iter().filter(|core| !allowed.contains(core)).copied().collect();
        if !cores.is_empty() || candidates.is_empty() {
            return Err(Forbidden { cores, allowed: allowed.to_vec() });
        }
        let automatic = || (allowed.len() - 1).clamp(1, SHARDS_AUTO_MAX);
        let count = config.asked().unwrap_or_else(automatic);
        let mut shards: Vec<usize> = candidates.iter().cycle().take(count).copied().collect();
        if config.cores.is_none() {
            shards.reverse();
        }
        let control = allowed.iter().filter(|core| !shards.contains(core)).copied().collect();
        Ok(Self { shards, control })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn place(toml: &str, allowed: &[usize]) -> Result<(Vec<usize>, Vec<usize>), Forbidden> {
        let config = Config::parse("f", &format!("[rtp]\n{toml}")).unwrap();
        Placement::of(&config.rtp.shards, allowed).map(|placed| (placed.shards, placed.control))
    }

    #[test]
    fn one_core_is_left_to_the_control_plane_where_there_are_two() {
        assert_eq!(place("", &[0, 1]), Ok((vec![1], vec![0])));
        assert_eq!(place("", &[2, 3, 5]), Ok((vec![3, 5], vec![2])));
        let many: Vec<usize> = (0..16).collect();
        assert_eq!(place("", &many), Ok((vec![12, 13, 14, 15], (0..12).collect())));
    }

    #[test]
    fn on_one_core_they_share() {
        assert_eq!(place("", &[3]), Ok((vec![3], vec![])));
        assert_eq!(place("shards = 2", &[3]), Ok((vec![3, 3], vec![])));
    }

    #[test]
    fn configured_cores_are_taken_in_their_order() {
        assert_eq!(place("cores = [5, 2]", &[0, 2, 5]), Ok((vec![5, 2], vec![0])));
        assert_eq!(place("cores = [5, 2]\nshards = 1", &[0, 2, 5]), Ok((vec![5], vec![0, 2])));
    }

    #[test]
    fn a_core_that_the_process_may_not_use_is_refused() {
        let refused = Forbidden { cores: vec![7], allowed: vec![0, 1] };
        assert_eq!(place("cores = [1, 7]", &[0, 1]), Err(refused));
    }
}
