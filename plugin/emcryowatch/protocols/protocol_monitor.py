"""What all monitors do: turn their form into settings, start the agent, follow it, tell how it goes."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

from pwem.protocols import EMProtocol

from emcryowatch import constants, interfaces, publish, state
from emcryowatch.agent import AgentError, check_version, environment_of, find, secrets_problems
from emcryowatch.following import AgentFailed, follow
from emcryowatch.lock import Hold, Watched, refuse
from emcryowatch.plugin import Plugin
from emcryowatch.settings import MEASURES, FormError, check_publish_command, data_dir, names_influx, tables
from emcryowatch.toml import written

_PARAMETERS = (
    "samplingInterval", "monitorTime", "stddevValue", "ratio1Value", "ratio2Value", "maxDefocus", "minDefocus",
    "astigmatism", "cpuAlert", "memAlert", "swapAlert", "doGpu", "gpusToUse", "doNetwork", "netInterfaces", "doDiskIO",
    "doMail", "emailFrom", "emailTo", "smtp", "mailSecurity", "doInflux", "publishCmd",
)  # fmt: skip


class CryowatchMonitor(EMProtocol):
    """Watches runs of the project it is in, by an agent of its own."""

    _kind = ""
    """What it watches: a key of `MEASURES`."""

    @classmethod
    def worksInStreaming(cls):
        """Return True: a monitor looks at what grows."""
        return True

    def _insertAllSteps(self):
        self._insertFunctionStep("monitorStep")

    def monitorStep(self):
        """Start the agent, and follow it until what it watches has ended and everything is delivered."""
        project, run = self._projectPath(), self.getObjId()
        environment = Plugin.environment()
        try:
            agent = find(environment, Plugin.bundled())
            hold = Hold(project, MEASURES[self._kind], run, self.getObjLabel() or self.getClassLabel())
            try:
                said = follow(
                    self._command(agent, project, environment),
                    environment=environment_of(environment, influx=self._influx()),
                    log=self._extra(constants.LOG_NAME),
                    state_file=self._extra(constants.STATE_NAME),
                    hold=hold.descriptors,
                    say=self._say,
                    reached=lambda address: self._extra(constants.URL_NAME).write_text(f"{address}\n"),
                )
            finally:
                hold.release()
        except (AgentError, AgentFailed, FormError, Watched) as error:
            raise RuntimeError(str(error)) from None
        for text in said["left"]:
            self.summaryWarnings.append(f"Not delivered: {text}")

    def _validate(self):
        environment = Plugin.environment()
        problems = []
        try:
            self._settings(environment)
        except FormError as error:
            problems.append(str(error))
        base = self._base(environment)
        if base and not os.access(base, os.R_OK):
            problems.append(f"Settings file: {base} cannot be read")
        try:
            cleaned = environment_of(environment, influx=True)
            agent = find(environment, Plugin.bundled())
            check_version(agent, cleaned)
            secrets = self._secrets(environment)
            if secrets is not None:
                problems += secrets_problems(agent, secrets, cleaned)
            elif self._influx() and not names_influx(base, environment):
                problems.append(
                    "use grafana/influx: there are no accounts for InfluxDB. Set EMFACILITIES_HOME to the folder that "
                    "holds secrets.cfg, or name a settings file with a section [influx]."
                )
        except AgentError as error:
            problems.append(str(error))
        try:
            refuse(self._projectPath(), MEASURES[self._kind], self.getObjId() or 0)
        except Watched as error:
            problems.append(str(error))
        return problems

    def _summary(self):
        said = state.read(self._extra(constants.STATE_NAME))
        return state.summary(said, active=self.isActive(), now=time.time()) if said or self.isActive() else []

    def getPagesUrl(self):
        """Return the address of the pages while the agent serves them; empty otherwise."""
        said = state.read(self._extra(constants.STATE_NAME))
        return (said.get("address") or "") if self.isActive() and said.get("phase") != "ended" else ""

    def _watchedRuns(self):
        """Return the runs that are watched."""
        return [pointer.get() for pointer in self.inputProtocols if pointer.get() is not None]

    def _projectPath(self):
        return Path(self.getProject().getPath()).absolute()

    def _extra(self, name):
        return self._projectPath() / self._getExtraPath(name)

    def _say(self, text):
        self.info(text)

    def _value(self, name):
        attribute = getattr(self, name, None)
        return None if attribute is None else attribute.get()

    def _influx(self):
        return bool(self._value("doInflux"))

    def _base(self, environment):
        named = (self._value("configFile") or "").strip() or environment.get(constants.CONFIG, "")
        return str(Path(named).expanduser().absolute()) if named else ""

    def _secrets(self, environment):
        """Return the file with the accounts for InfluxDB, where it is wanted and its folder is set."""
        home = environment.get(constants.SECRETS_HOME, "")
        if not self._influx() or not home or names_influx(self._base(environment), environment):
            return None
        return Path(home).expanduser().absolute() / "secrets.cfg"

    def _settings(self, environment):
        report, publisher = self._extra(constants.REPORT_NAME), ()
        if (self._value("publishCmd") or "").strip():
            check_publish_command(self.publishCmd.get())
            publisher = (sys.executable, publish.__file__, "{folder}", str(self._extra(constants.COMMAND_NAME)))
        return tables(
            self._kind,
            {name: self._value(name) for name in _PARAMETERS},
            runs=[run.getObjId() for run in self._watchedRuns()],
            address=f"127.0.0.1:{self._port()}",
            base=self._base(environment),
            publisher=publisher,
            report_folder=str(report),
            interfaces=interfaces.names,
        )

    def _port(self):
        """Return the port that the form names, else the last one where that is free: pages in a browser go on."""
        chosen = self.pagesPort.get() or 0
        if not 0 <= chosen <= 65535:
            raise FormError(f"Port of the pages: must lie between 0 and 65535 (it is {chosen})")
        last = self._extra(constants.URL_NAME)
        if chosen or not last.exists():
            return chosen
        found = last.read_text().strip().rstrip("/").rpartition(":")[2]
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", int(found)))
            except (OSError, ValueError, OverflowError):
                return 0
        return int(found)

    def _command(self, agent, project, environment):
        """Write what the agent reads, and return how it is started."""
        extra = self._extra("")
        extra.mkdir(parents=True, exist_ok=True)
        config = self._extra(constants.CONFIG_NAME)
        config.write_text(written(self._settings(environment)) + "\n", encoding="utf-8")
        if (self._value("publishCmd") or "").strip():
            self._extra(constants.COMMAND_NAME).write_text(self.publishCmd.get(), encoding="utf-8")
        data = data_dir(extra, project, self.getObjId(), environment.get(constants.DATA_DIR, ""))
        command = [agent, "watch", project, "--config", config, "--data-dir", data, "--leashed", "--until-ended"]
        command += ["--for", self.monitorTime.get(), "--patience", self.patience.get()]
        command += ["--state-file", self._extra(constants.STATE_NAME)]
        secrets = self._secrets(environment)
        if secrets is not None:
            command += ["--secrets", secrets]
        return [str(word) for word in command]
