package wholefile

import (
	"os"
	"path/filepath"
)

// Write puts what fill writes in the place of the file at path, if there is one.
// Only its owner may read it, unless fill gives it to others. Its error is that of
// fill, or says what could not be done with which file; all is then as it was.
func Write(path string, fill func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	if shut := f.Close(); err == nil {
		err = shut
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	// Not every system can sync a folder; the name then lasts when it lasts.
	if folder, err := os.Open(filepath.Dir(path)); err == nil {
		_ = folder.Sync()
		_ = folder.Close()
	}
	return nil
}

// Replace puts content in the place of the file at path, as Write does.
func Replace(path string, content []byte) error {
	return Write(path, func(f *os.File) error {
		_, err := f.Write(content)
		return err
	})
}
