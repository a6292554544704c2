// Package pluginhost runs plugins for the length of one command: each is
// checked, started when it is first needed, given the few variables of the
// environment that it may have, used for all its calls, and ended. A plugin
// that fails is reported with the last lines that it printed.
//
// It does not know where plugins come from (package lock does) nor what they
// manage, and it retries no call: that is for who knows what a call does.
package pluginhost
