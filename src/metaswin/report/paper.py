"""Published numbers of Tong et al. 2025 (arXiv 2508.20469), shown beside this run's."""

CITATION = "Tong et al. 2025, arXiv 2508.20469"
COHORT = "1,497 patients, five-fold cross-validation"
DEEP = {"auc": 0.715}
FUSION = {"auc": 0.803, "acc": 0.752, "sen": 0.730, "spe": 0.758}


def published(arm: str, headline: str) -> dict[str, float]:
    """The paper's numbers of an arm: deep features alone and the fusion with deep features; else empty."""
    if arm == "deep":
        return DEEP
    return FUSION if arm == headline and "deep" in arm.split("+") else {}
