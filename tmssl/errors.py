"""The error tree; each message says what was wrong, what was found and what to do.

TmsslError              exit 1: the work failed
+-- TrainingError       training could not continue
+-- EngineError         a search engine on another machine refused, or did not answer
+-- InputError          exit 2: the command, its files or its settings are wrong
    +-- CatalogueError  a source of images or labels
    +-- PackError       a pack that is foreign, truncated or for other images
    +-- CodeError       a Vienna code
    +-- ConfigError     a setting
    +-- RunError        a run folder, or the state a run is in
    +-- CheckpointError no checkpoint can be loaded
    +-- JournalError    a journal that cannot be read at all
"""


class TmsslError(Exception):
    """A failure with a known reason."""

    exit_code = 1


class TrainingError(TmsslError):
    """Training could not continue."""


class EngineError(TmsslError):
    """A search engine on another machine refused, or did not answer."""


class InputError(TmsslError):
    """The command, its files or its settings are wrong; nothing was changed."""

    exit_code = 2


class CatalogueError(InputError):
    """A source of images or labels cannot be used."""


class PackError(InputError):
    """A pack is foreign, truncated or belongs to other images."""


class CodeError(InputError):
    """A string is not a Vienna code."""


class ConfigError(InputError):
    """A setting is unknown, out of range or contradicts another."""


class RunError(InputError):
    """A run folder is missing, is not one, or is in the wrong state."""


class CheckpointError(InputError):
    """No checkpoint of a run can be loaded."""


class JournalError(InputError):
    """A journal cannot be read at all."""
