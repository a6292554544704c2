// Package sdk is the contract between wfctl and a provider: what manages the
// resources of one platform. A built-in provider and a plugin implement the
// same [Provider] interface; the package sdk/wire carries it over gRPC, and
// sdk/sdktest checks an implementation of it.
//
// The package holds types, codes and small helpers. It does no I/O, keeps no
// state and imports the standard library alone, so that a provider's author
// depends on nothing else.
package sdk
