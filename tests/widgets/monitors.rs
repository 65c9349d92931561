//! The monitoring systems' own judgement of their definitions: real Nagios and real Icinga.

use session_tests::{needs::Need, scenarios, session::Session, suite::Suite};

use crate::example;

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_dbus_daemon(&[Need::Program("nagios4"), Need::Root]); nagios_takes_the_definitions);
    scenarios!(suite.on_dbus_daemon(&[Need::Program("icinga2"), Need::Root]); icinga_takes_the_definitions);
}

/// What the definitions lean on, as every installation of Nagios has it.
const AROUND: &str = "
define timeperiod {
  timeperiod_name always
  alias always
  monday 00:00-24:00
}
define command {
  command_name none
  command_line /bin/true
}
define contact {
  contact_name somebody
  service_notification_period always
  host_notification_period always
  service_notification_commands none
  host_notification_commands none
}
define host {
  host_name workstation
  address 127.0.0.1
  max_check_attempts 1
  check_period always
  notification_period always
  contacts somebody
}
define service {
  name generic-service
  register 0
  max_check_attempts 1
  check_interval 1
  retry_interval 1
  check_period always
  notification_period always
  contacts somebody
}
";

async fn nagios_takes_the_definitions(session: Session) {
    let folder = session.home.path();
    let around = session.home.write("around.cfg", AROUND);
    let resources = session.home.write("resource.cfg", "$USER1$=/usr/lib/nagios/plugins\n");
    let place = |what: &str| format!("{what}={}\n", folder.join(what).display());
    let main: String =
        ["log_file", "object_cache_file", "status_file", "lock_file", "command_file"].map(place).concat()
            + &format!(
                "cfg_file={}\ncfg_file={}\nresource_file={}\ncheck_result_path={folder}\ntemp_path={folder}\n\
             nagios_user=root\nnagios_group=root\n",
                around.display(),
                example("monitoring/nagios.cfg").display(),
                resources.display(),
                folder = folder.display()
            );
    let main = session.home.write("nagios.cfg", main);
    let ended = session.run(&["nagios4", "-v", main.to_str().unwrap()]).await;
    assert!(ended.code == 0 && ended.stdout.contains("Total Errors:   0"), "{ended:?}");
    assert!(ended.stdout.contains("Checked 1 services"), "{ended:?}");
}

async fn icinga_takes_the_definitions(session: Session) {
    let text = format!(
        "object CheckCommand \"alive\" {{ command = [ \"/bin/true\" ] }}\n\
         object Host \"workstation\" {{ check_command = \"alive\"\n vars.sesame_user = \"ada\" }}\n\
         object Host \"other\" {{ check_command = \"alive\" }}\ninclude \"{}\"\n",
        example("monitoring/icinga2.conf").display()
    );
    let config = session.home.write("icinga.conf", text);
    let place = |what: &str| format!("-D{what}={}", session.home.path().display());
    let places = ["DataDir", "LogDir", "CacheDir"].map(place);
    let config = config.to_str().unwrap();
    let words = ["icinga2", "daemon", "-C", "-c", config, "-DRunAsUser=root", "-DRunAsGroup=root"];
    let words: Vec<&str> = words.into_iter().chain(places.iter().map(String::as_str)).collect();
    let ended = session.run(&words).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("Instantiated 1 Service."), "of the host that has a user: {ended:?}");
}
