package replay

import (
	"bytes"
	"embed"
	"fmt"
)

// demoArchives are a selection of the recordings in testdata, made by the same
// program with -only.
//
//go:embed demo/*.tar.zst
var demoArchives embed.FS

// Demo gives the recordings of a kind of PBX that the program carries with it.
func Demo(kind string) ([]*Recording, error) {
	data, err := demoArchives.ReadFile("demo/" + kind + ".tar.zst")
	if err != nil {
		return nil, fmt.Errorf("no recordings of a PBX of kind %q: want %s or %s", kind, Asterisk, FreeSWITCH)
	}
	return ReadArchive(bytes.NewReader(data))
}
