package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"calljournal/agent/config"
	"calljournal/agent/journal"
	"calljournal/storage"
)

// settings are what a configuration says about the journal.
type settings struct {
	directory *journal.Directory
	tariffs   *journal.Tariffs
	spam      []string // the entries of the file
	rules     journal.Rules
	counting  storage.Counting
	// digest differs whenever another verdict, name or price may follow.
	digest string
}

// settingsOf reads them, and the files that the configuration names.
func settingsOf(c *config.Config) (*settings, error) {
	s := &settings{directory: directory(c), rules: rules(c)}
	s.counting = storage.Counting{Zone: c.Agent.Location(), ServiceLevel: s.rules.ServiceLevel}
	tariffs := make([]journal.Tariff, 0, len(c.Tariff))
	for _, t := range c.Tariff {
		tariffs = append(tariffs, journal.Tariff{Prefix: t.Prefix, PerMinute: t.PerMinute, Currency: t.Currency, Step: t.Step.Duration, Free: t.Free.Duration})
	}
	var err error
	if s.tariffs, err = journal.NewTariffs(tariffs); err != nil {
		return nil, err
	}
	if name := c.Rules.SpamNumbersFile; name != "" {
		if s.spam, err = readSpam(c.File(name)); err != nil {
			return nil, err
		}
	}
	judged := s.rules
	judged.ServiceLevel = 0 // counts, but gives no verdict: storage.Counting has it
	text, err := json.Marshal([]any{judged, c.Rules.Country, c.Employee, c.Line, tariffs, s.spam})
	if err != nil {
		panic("BUG: settings cannot be written: " + err.Error())
	}
	sum := sha256.Sum256(text)
	s.digest = hex.EncodeToString(sum[:16])
	return s, nil
}

func readSpam(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("rules.spam_numbers_file: %w", err)
	}
	defer f.Close()
	entries, err := journal.ReadSpamFile(f)
	if err != nil {
		return nil, fmt.Errorf("rules.spam_numbers_file: %s: %w", path, err)
	}
	return entries, nil
}

// engine is the journal's with these settings and the numbers that people named.
func (s *settings) engine(version uint32, byHand []string) *journal.Engine {
	return journal.NewEngine(journal.Settings{
		Directory: s.directory, Tariffs: s.tariffs, Rules: s.rules, Spam: journal.NewSpamList(s.directory, byHand, s.spam),
	}, version)
}

func rules(c *config.Config) journal.Rules {
	return journal.Rules{
		UniqueDepth:    time.Duration(c.Rules.UniqueDepthDays) * 24 * time.Hour,
		TargetMinTalk:  c.Rules.TargetMinTalk.Duration,
		ShortAbandon:   c.Rules.ShortAbandon.Duration,
		LostWindow:     c.Rules.LostWindow.Duration,
		SpamShortCalls: c.Rules.SpamShortCalls,
		ServiceLevel:   c.Rules.ServiceLevel.Duration,
	}
}

// directory is what the configuration says of employees and lines.
func directory(c *config.Config) *journal.Directory {
	employees := make([]journal.Employee, 0, len(c.Employee))
	for _, e := range c.Employee {
		employees = append(employees, journal.Employee(e))
	}
	lines := make([]journal.Line, 0, len(c.Line))
	for _, l := range c.Line {
		lines = append(lines, journal.Line(l))
	}
	return journal.NewDirectory(c.Rules.Country, employees, lines)
}
