//! How many users are on the site, step by step: up until the response times pass the goal, or so many for so long.

use crate::parameters::Parameters;
use std::time::Duration;

/// Users at most: what one process and its balancer hold descriptors for.
const MAX_USERS: usize = 5_000;
/// From one step to the next, far from the goal.
const COARSE: f64 = 1.4;
/// And near it.
const FINE: f64 = 1.1;
/// Which part of a fine step's time a coarse one is measured.
const COARSE_TIME: f64 = 0.4;
/// Steps in a row beyond the goal that end it.
const BEYOND: u32 = 2;

/// One step: so many users, some time to settle, some time that is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub users: usize,
    pub settle: Duration,
    pub measure: Duration,
    pub is_fine: bool,
}

/// What comes next.
pub(crate) enum Plan {
    Ramp { next: Step, goal: Duration, measure: Duration, beyond: u32 },
    Steady(Option<Step>),
}

impl Plan {
    /// Up from `users`, in wide steps until half the goal is passed, then in narrow ones.
    pub(crate) fn ramp(parameters: &Parameters, users: usize) -> Self {
        let Parameters { goal, step_settle: settle, step_measure: measure, .. } = *parameters;
        let next = Step { users, settle, measure: measure.mul_f64(COARSE_TIME), is_fine: false };
        Self::Ramp { next, goal, measure, beyond: 0 }
    }

    /// One step only.
    pub(crate) fn steady(parameters: &Parameters, users: usize, seconds: u64) -> Self {
        let (settle, measure) = (parameters.step_settle, Duration::from_secs(seconds));
        Self::Steady(Some(Step { users, settle, measure, is_fine: true }))
    }

    /// The next step, after one at whose end the percentile of the goal was `reached`; `None` for the end.
    pub(crate) fn next(&mut self, reached: Option<Duration>) -> Option<Step> {
        match self {
            Self::Steady(step) => step.take(),
            Self::Ramp { next, goal, measure, beyond } => {
                if let Some(reached) = reached {
                    *beyond = if next.is_fine && reached > *goal { *beyond + 1 } else { 0 };
                    if reached > *goal / 2 {
                        (next.is_fine, next.measure) = (true, *measure);
                    }
                    let factor = if next.is_fine { FINE } else { COARSE };
                    next.users = (next.users + 1).max((next.users as f64 * factor).round() as usize);
                }
                (*beyond < BEYOND && next.users <= MAX_USERS).then_some(*next)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_goes_up_and_ends_beyond_the_goal() {
        let parameters = Parameters::parse(include_str!("../../parameters")).unwrap();
        let mut plan = Plan::ramp(&parameters, 10);
        let goal = parameters.goal;
        let first = plan.next(None).unwrap();
        assert_eq!((first.users, first.is_fine), (10, false));
        let second = plan.next(Some(goal / 10)).unwrap();
        assert_eq!((second.users, second.is_fine), (14, false));
        let third = plan.next(Some(goal / 2 + Duration::from_millis(1))).unwrap();
        assert_eq!((third.users, third.is_fine, third.measure), (15, true, parameters.step_measure));
        assert!(plan.next(Some(goal * 2)).is_some() && plan.next(Some(goal)).is_some());
        assert!(plan.next(Some(goal * 2)).is_some() && plan.next(Some(goal * 2)).is_none());
    }
}
