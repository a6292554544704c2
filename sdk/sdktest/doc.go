// Package sdktest is the conformance suite: it tries whatever the contract of
// a provider says on a provider, in process or at the other end of a wire.
// [Run] is for tests, [Check] for programs; both print the matrix of methods
// and requests.
//
// It really makes and removes the resources that its fixtures describe. It
// does not start plugins (package pluginhost does) and knows no platform.
package sdktest
