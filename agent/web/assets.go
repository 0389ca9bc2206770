package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"sync"
)

//go:embed templates lang assets
var files embed.FS

// version names the assets by what is in all of them, so that a browser may keep
// each for ever, and asks for new ones after an upgrade.
var version = sync.OnceValue(func() string {
	sum := sha256.New()
	err := fs.WalkDir(files, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(files, name)
		_, _ = sum.Write([]byte(name))
		_, _ = sum.Write(b)
		return err
	})
	if err != nil {
		panic(err) // embedded
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
})

// assetPath is the address of a file in assets.
func assetPath(name string) string { return "/assets/" + version() + "/" + name }

func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	b, err := fs.ReadFile(files, "assets/"+name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	if r.PathValue("version") == version() {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	_, _ = w.Write(b)
}
