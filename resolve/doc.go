// Package resolve turns an application file into what is desired in one
// environment: it picks the environment, lays its overlays over the
// declarations, settles variables and expressions, finds what depends on what,
// and checks configurations against the schemas of their types. It is the only
// package that can make a [resource.Desired].
//
// A reference to an output of another node stays open: it is settled by
// [resource.Input.Resolve] when its turn comes. Nothing here asks a platform,
// and nothing falls back to the base configuration.
package resolve
