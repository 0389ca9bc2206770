// Command sbom prints what a program was built from, as CycloneDX 1.5.
//
// The invariant: it reads the program itself, not go.mod, so that it lists what
// is in it and nothing else.
//
//	program ──▶ build information in it ──▶ CycloneDX JSON
package main
