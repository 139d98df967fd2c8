"""Settings of earlier versions: what to do where a configuration still has one."""

# A key as it is written in the configuration, ``section.key``, or one value of a key, ``section.key=value``; a removed
# section stands for all that was in it. The text tells the user what to do. The error names the key before it.
REMOVED = {
    "evaluation.nri": "Delete this line: the net reclassification index misleads where models are poorly calibrated",
    "folds.inner": "Delete this line: the other folds of the cross-validation are the inner folds",
    "fusion.joint": "Delete this section: fine-tuning of network and fusion together did not improve the AUC",
    "fusion.deep_score=joint": "Use cross-fitted, the default: joint fine-tuning did not improve the AUC",
    "fusion.deep_score=inner-validation": "Use cross-fitted, the default: it fits the fusion on all training rows",
}
