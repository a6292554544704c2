// Package wire carries a provider over gRPC: [Serve] is the plugin's end,
// [Dial] starts a plugin and gives the host a [Conn], which is an
// [sdk.Provider] like any other. The messages are typed, and a reader refuses
// what it does not know and names what is missing; they never leave this
// package.
//
// It does not find, verify or restart plugins, and it keeps no environment
// from them: that is package pluginhost.
package wire
