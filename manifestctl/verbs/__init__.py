"""The verbs: name -> the module whose `VERBS` has it, and what it does.

Only the module of the verb that was asked for is imported.
"""

from typing import Final

SUMMARIES: Final[dict[str, tuple[str, str]]] = {
    "create": ("write", "make a new manifest from a JSON document"),
    "apply": ("apply", "create, revise or do nothing, until the manifest holds the document"),
    "revise": ("write", "replace or merge-patch a draft's document"),
    "submit": ("step", "submit a draft for review"),
    "approve": ("step", "approve a reviewed manifest"),
    "reject": ("step", "send a pending manifest back to its author"),
    "register": ("step", "register an approved manifest under its URN"),
    "deprecate": ("step", "advise against a registered manifest that stays found"),
    "supersede": ("step", "say what replaces a registered manifest"),
    "withdraw": ("step", "let a registered manifest be found no more"),
    "restore": ("step", "take a deprecation, supersession or withdrawal back"),
    "revert": ("write", "undo the last step"),
    "comment": ("write", "leave a remark"),
    "redact": ("redact", "take personal data out of one version, for good"),
    "transition": ("step", "take any step of the lifecycle"),
    "get": ("read", "show a manifest, now or in the past"),
    "list": ("read", "list manifests by state, kind, author, or what you can do"),
    "lookup": ("read", "find the registered manifest behind a URN"),
    "history": ("read", "show who did what to a manifest, when and why"),
    "watch": ("watch", "follow events as they happen"),
    "wait": ("wait", "wait until a manifest is in a state"),
    "explain": ("read", "show what may happen to a manifest now, and why the rest may not"),
    "lifecycle": ("lifecycle", "list, show, draw, check, convert, rehearse and change lifecycles"),
    "status": ("operate", "show the daemon's figures"),
    "health": ("operate", "ask whether the daemon is ready"),
    "whoami": ("operate", "ask who the daemon thinks you are"),
    "verify": ("operate", "check the hash chain of one manifest, or of all"),
    "backup": ("backup", "write every event into one checked file, while the daemon works"),
    "export": ("export", "print manifests, or every event, as JSON lines"),
    "recover": ("operate", "rebuild a manifest from its events and compare"),
}
