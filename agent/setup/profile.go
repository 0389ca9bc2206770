package setup

import (
	"slices"

	"calljournal/agent/config"
)

// Profile is a way in which a PBX is installed. Paths are absolute; of a list of
// paths the first that is there counts.
type Profile struct {
	Name  string // for --profile
	Title string
	Kind  string // config.KindAsterisk, config.KindFreeSWITCH

	// Conf is the folder of the PBX's configuration, Marks the files of which one
	// at least is there besides.
	Conf  []string
	Marks []string

	// UserFile, within Conf, is where a user for us goes. Own: it is a file of
	// that user alone, so it can be made without touching what is there.
	UserFile string
	Own      bool
	// MadeIn is where users are made if not in a file, which would be written over.
	MadeIn string
	// WholeSocket: there is no place for a user of our own; the event socket's own
	// password is used.
	WholeSocket bool

	// TrunkContexts are the contexts into which the profile sends calls from
	// outside: what has such a context is a trunk. Without them an endpoint is one
	// if it signs in elsewhere, and nothing signs in to it.
	TrunkContexts []string
	// Trunks are the names that the profile gives to every trunk's channels.
	Trunks []string

	Recordings, Voicemail, Fax, CDR []string
}

const (
	asteriskConf = "/etc/asterisk"
	managerConf  = asteriskConf + "/manager.conf"
)

// Profiles are those known, the special before the general.
func Profiles() []Profile {
	spool := func(p Profile) Profile {
		p.Kind, p.Conf = config.KindAsterisk, []string{asteriskConf}
		p.Recordings = append(p.Recordings, "/var/spool/asterisk/monitor")
		p.Voicemail = append(p.Voicemail, "/var/spool/asterisk/voicemail")
		p.Fax = append(p.Fax, "/var/spool/asterisk/fax")
		p.CDR = []string{"/var/log/asterisk/cdr-csv/Master.csv"}
		return p
	}
	fromOutside := []string{"from-trunk*", "from-pstn*", "from-analog*", "from-digital*"}
	sofia := []string{"sofia/external/*", "sofia/external-ipv6/*"}
	return []Profile{
		spool(Profile{
			Name: "mikopbx", Title: "MikoPBX", Marks: []string{"/cf/conf/mikopbx.db", "/etc/inc/mikopbx-settings.json"},
			MadeIn:     "the web interface: System, Asterisk Manager Interface (AMI)",
			Trunks:     []string{"PJSIP/SIP-TRUNK-*", "PJSIP/SIP-PROVIDER-*", "IAX2/IAX-TRUNK-*", "IAX2/IAX-PROVIDER-*"},
			Recordings: []string{"/storage/usbdisk1/mikopbx/astspool/monitor"},
			Voicemail:  []string{"/storage/usbdisk1/mikopbx/astspool/voicemail"},
			Fax:        []string{"/storage/usbdisk1/mikopbx/astspool/fax"},
		}),
		spool(Profile{
			Name: "issabel", Title: "Issabel", Marks: []string{"/etc/issabel.conf", "/etc/issabelpbx.conf"},
			UserFile: "manager_custom.conf", TrunkContexts: fromOutside,
		}),
		spool(Profile{
			Name: "freepbx", Title: "FreePBX", Marks: []string{"/etc/freepbx.conf", "/etc/amportal.conf"},
			UserFile: "manager_custom.conf", TrunkContexts: fromOutside,
		}),
		spool(Profile{
			Name: "asterisk", Title: "Asterisk",
			UserFile: "manager.d/calljournal.conf", Own: true,
		}),
		{
			Name: "fusionpbx", Title: "FusionPBX", Kind: config.KindFreeSWITCH, WholeSocket: true,
			Conf: []string{"/etc/freeswitch"}, Marks: []string{"/etc/fusionpbx/config.conf", "/etc/fusionpbx/config.php", "/var/www/fusionpbx"},
			Trunks:     sofia,
			Recordings: []string{"/var/lib/freeswitch/recordings"},
			Voicemail:  []string{"/var/lib/freeswitch/storage/voicemail"},
			Fax:        []string{"/var/lib/freeswitch/storage/fax"},
			CDR:        []string{"/var/log/freeswitch/json_cdr", "/var/log/freeswitch/cdr-csv/Master.csv"},
		},
		{
			Name: "freeswitch", Title: "FreeSWITCH", Kind: config.KindFreeSWITCH,
			Conf:     []string{"/etc/freeswitch", "/usr/local/freeswitch/conf", "/usr/local/freeswitch/etc/freeswitch"},
			UserFile: "directory/default/calljournal.xml",
			Trunks:   sofia,
			Recordings: []string{"/var/lib/freeswitch/recordings", "/usr/local/freeswitch/recordings",
				"/usr/local/freeswitch/var/lib/freeswitch/recordings"},
			Voicemail: []string{"/var/lib/freeswitch/storage/voicemail", "/usr/local/freeswitch/storage/voicemail",
				"/usr/local/freeswitch/var/lib/freeswitch/storage/voicemail"},
			CDR: []string{"/var/log/freeswitch/json_cdr", "/var/log/freeswitch/cdr-csv/Master.csv", "/usr/local/freeswitch/log/cdr-csv/Master.csv"},
		},
	}
}

// Named is the profile of that name.
func Named(name string) (Profile, bool) {
	all := Profiles()
	i := slices.IndexFunc(all, func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return Profile{}, false
	}
	return all[i], true
}
