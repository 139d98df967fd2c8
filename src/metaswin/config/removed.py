"""Settings of earlier versions: what to do where a configuration still has one."""

# A key as it is written in the configuration, ``section.key``, or one value of a key, ``section.key=value``; a removed
# section stands for all that was in it. The text tells the user what to do. The error names the key before it.
REMOVED = {
    "evaluation.nri": "Delete this line: the net reclassification index misleads where models are poorly calibrated",
}
