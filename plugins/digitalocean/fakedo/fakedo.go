// Package fakedo is a stateful stand-in for the public API of DigitalOcean,
// for tests and for trying wfctl by hand.
//
// It keeps what is made in memory, moves resources through the states that the
// real service shows (a database is creating, then online), and holds every
// request and every answer against DigitalOcean's own OpenAPI description. What
// the description does not allow, or a JSON field that it does not list, is
// refused with 422 and remembered in Violations.
//
// Time is simulated: nothing sleeps. A request that reads, and one that is
// refused, may advance the clock by Options.AutoAdvance, and a test may advance
// it by hand, so that a poller sees a database come up in microseconds.
//
// Faults are set with Inject: rate limits, server errors, connections dropped
// before or after the effect, answers that lag behind, quotas, failing
// deployments. SetChaos drops connections at random from a seed.
//
// docs/fakedo.md says how to run it as a program.
package fakedo
