// Package pb is the generated code of sdk/proto. Only sdk/wire uses it: the
// messages never leave that package.
package pb
