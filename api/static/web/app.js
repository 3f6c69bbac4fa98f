// What every page's script does. Pages work without it; it makes them quicker to use.
import { startCopying } from "./copy.js";
import { startDialogs } from "./dialogs.js";
import { startForms } from "./forms.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { startRows } from "./rows.js";
import { startThemeSwitch } from "./theme_switch.js";
import { startTimes } from "./times.js";

startForms();
startDialogs();
startCopying();
startThemeSwitch();
startTimes();
startKeys();
startLive();
startRows();
