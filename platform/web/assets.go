package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
)

//go:embed assets/*
var assetFiles embed.FS

// asset is a file as it is served.
type asset struct {
	contentType string
	data        []byte
}

// assets are the files by the path they are served under, assetPaths those paths by the files' own names.
var assets, assetPaths = hashed()

// hashed gives every file a path with a hash of its content in it, so that it may be kept for ever: a changed file has
// another path.
func hashed() (map[string]asset, map[string]string) {
	files, paths := map[string]asset{}, map[string]string{}
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		panic(err) // embedded
	}
	for _, e := range entries {
		data, err := assetFiles.ReadFile("assets/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(data)
		ext := path.Ext(e.Name())
		p := "/assets/" + strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		files[p] = asset{contentTypes[ext], data}
		paths[e.Name()] = p
	}
	return files, paths
}

// contentTypes is written out because the system's table differs between machines.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
}

// AssetPath is where the asset with the name is served: "/assets/accession.1f2e….css". It panics when there is none, which is a
// mistake in a template.
func AssetPath(name string) string {
	p, ok := assetPaths[name]
	if !ok {
		panic("no asset " + name)
	}
	return p
}

// Assets serves the style sheet and the icon. Mount it at "GET /assets/".
func Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.contentType)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(a.data) // a reader that has gone misses nothing
	})
}
