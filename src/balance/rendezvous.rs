//! Rendezvous hashing: every backend draws a number from the key, and the best draw for its weight has the key.
//!
//! A backend's draw depends on the key and its own name alone. So the order of the file does not matter, a backend that
//! leaves gives up its own keys and no other, one that comes takes its share from all alike, and where the best may not
//! have the key the next best has it. Nothing is kept but a number for each name.

use super::hash::mix;

/// What one backend draws for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draw {
    number: u32,
    weight: u64,
    /// Tells apart two that draw the same.
    seed: u32,
    /// Once somebody of another weight made it matter.
    cost: Option<u64>,
}

impl Draw {
    /// The draw of the backend whose name hashes to `seed`.
    pub(super) fn of(key: u32, seed: u32, weight: u64) -> Self {
        Self { number: mix(key ^ seed), weight, seed, cost: None }
    }

    /// Whether this one has the key rather than `other`.
    pub(super) fn beats(&mut self, other: &mut Self) -> bool {
        // For the same weight the lower cost is the higher number.
        if self.weight != other.weight {
            let (own, others) = (self.cost(), other.cost());
            if own != others {
                return own < others;
            }
        }
        (self.number, other.seed) > (other.number, self.seed)
    }

    /// `-log(number / 2^32) / weight`, an exponential variable: of several the least falls to each in proportion to its
    /// weight. Whole numbers, so that every machine gets the same.
    fn cost(&mut self) -> u64 {
        // A logarithm has less than 32 bits.
        const RECIPROCAL: u32 = 1 << 28;
        let (number, weight) = (self.number, u32::try_from(self.weight.max(1)).unwrap_or(u32::MAX));
        *self.cost.get_or_insert_with(|| u64::from(negated_log(number)) * u64::from(RECIPROCAL / weight))
    }
}

/// Bits behind the point of a logarithm.
const POINT: u32 = 26;
/// Steps of the table, in bits.
const STEPS: u32 = 8;

/// `log2(1 + step / 2^STEPS)`.
static LOGS: [u32; (1 << STEPS) + 1] = {
    let mut logs = [0; (1 << STEPS) + 1];
    let mut step = 0;
    while step < logs.len() {
        logs[step] = log2(((1 << STEPS) + step as u64) << (31 - STEPS));
        step += 1;
    }
    logs
};

/// `log2(x / 2^31)` of an `x` from 2^31 to 2^32: each squaring gives a binary digit.
const fn log2(mut x: u64) -> u32 {
    if x == 1 << 32 {
        return 1 << POINT;
    }
    let (mut log, mut digit) = (0, POINT);
    while digit > 0 {
        digit -= 1;
        x = (x * x) >> 31;
        if x >= 1 << 32 {
            x >>= 1;
            log |= 1 << digit;
        }
    }
    log
}

/// `-log2(number / 2^32)`; what lies between two steps of the table is on the line between them. Never grows with
/// `number`.
fn negated_log(number: u32) -> u32 {
    let number = number.max(1);
    let zeros = number.leading_zeros();
    let scaled = number << zeros;
    let fraction_bits = 31 - STEPS;
    let step = ((scaled << 1) >> (32 - STEPS)) as usize;
    let fraction = scaled & ((1 << fraction_bits) - 1);
    let (low, high) = (LOGS[step], LOGS[step + 1]);
    // Below 2^POINT: the fraction of a step.
    #[allow(clippy::cast_possible_truncation, reason = "less than `high - low`")]
    let between = ((u64::from(high - low) * u64::from(fraction)) >> fraction_bits) as u32;
    ((zeros + 1) << POINT) - (low + between)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn logarithms() {
        for number in [1, 2, 3, 1000, 1 << 31, (1 << 31) + 12_345, 0xc000_0000, u32::MAX - 70_000, u32::MAX] {
            let exact = -(f64::from(number) / 2f64.powi(32)).log2();
            let ours = f64::from(negated_log(number)) / f64::from(1u32 << POINT);
            assert!((ours - exact).abs() < 4e-6, "{number}: {ours} for {exact}");
        }
        assert_eq!(negated_log(0), 32 << POINT);
        assert_eq!(negated_log(1 << 31), 1 << POINT);
    }

    proptest! {
        /// Else two of the same weight would be ranked otherwise than beside a third of another one.
        #[test]
        fn the_cost_never_grows_with_the_number(number: u32, more in 1u32..100_000) {
            prop_assert!(negated_log(number) >= negated_log(number.saturating_add(more)));
        }

        #[test]
        fn one_order_over_all_weights(draws in prop::array::uniform3((prop_oneof![any::<u32>(), 0u32..3], 1u64..4, prop_oneof![any::<u32>(), 0u32..3]))) {
            let beats = |one: usize, other: usize| {
                let [mut one, mut other] = [one, other].map(|at| {
                    let (number, weight, seed) = draws[at];
                    Draw { number, weight, seed, cost: None }
                });
                one.beats(&mut other)
            };
            prop_assert!(!(beats(0, 1) && beats(1, 0)));
            prop_assert!(draws[0] == draws[1] || beats(0, 1) || beats(1, 0));
            prop_assert!(!(beats(0, 1) && beats(1, 2)) || beats(0, 2));
        }
    }
}
