"""ScaledObjects and HorizontalPodAutoscalers as KEDA and Kubernetes define them (keda.sh/v1alpha1, autoscaling/v2)."""

from codeforge.capacity.behavior import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    Behavior,
    Bounds,
    Policy,
    PolicyType,
    ScalingRules,
    SelectPolicy,
)
from codeforge.capacity.fields import Fields
from codeforge.capacity.formula import Formula, FormulaError
from codeforge.capacity.keda import (
    COOLDOWN_S,
    MAX_REPLICAS,
    POLLING_S,
    Fallback,
    FallbackBehavior,
    MetricType,
    Modifiers,
    ScaledObject,
    Trigger,
)
from codeforge.capacity.workloads import PlainHpa, Resource, ResourceMetric

PAUSED = "autoscaling.keda.sh/paused"

# Per type of trigger: where it says what it reads, its target with KEDA's default, and from where on it is active.
_TRIGGERS: dict[str, tuple[str, str, float | None, str]] = {
    "redis": ("listName", "listLength", 5.0, "activationListLength"),
    "redis-sentinel": ("listName", "listLength", 5.0, "activationListLength"),
    "redis-streams": ("stream", "streamLength", 5.0, "activationLagCount"),
    "redis-sentinel-streams": ("stream", "streamLength", 5.0, "activationLagCount"),
    "metrics-api": ("url", "targetValue", None, "activationTargetValue"),
}


def scaled_object(manifest: Fields) -> ScaledObject:
    """A ScaledObject. Raises CapacityError, which names the field."""
    spec = manifest.under("spec")
    paused = [name for name in manifest.under("metadata").under("annotations") if name.startswith(PAUSED)]
    if paused:
        raise manifest.under("metadata").under("annotations").wrong(paused[0], "paused scaling is not simulated")
    triggers = [_trigger(fields, f"s{position}") for position, fields in enumerate(spec.each("triggers"))]
    if not triggers:
        raise spec.wrong("triggers", "has none")
    advanced = spec.under("advanced")
    scaled = ScaledObject(
        name=manifest.under("metadata").text("name"),
        target=spec.under("scaleTargetRef").text("name"),
        triggers=triggers,
        modifiers=_modifiers(advanced, triggers),
        polling_s=spec.number("pollingInterval", POLLING_S, least=1),
        cooldown_s=spec.number("cooldownPeriod", COOLDOWN_S),
        initial_cooldown_s=spec.number("initialCooldownPeriod", 0),
        min_replicas=spec.whole("minReplicaCount", 0),
        max_replicas=spec.whole("maxReplicaCount", MAX_REPLICAS, least=1),
        idle_replicas=spec.whole("idleReplicaCount") if "idleReplicaCount" in spec else None,
        fallback=_fallback(spec),
        behavior=behavior(advanced.under("horizontalPodAutoscalerConfig")),
    )
    if scaled.min_replicas > scaled.max_replicas:
        raise spec.wrong("minReplicaCount", f"is above maxReplicaCount ({scaled.max_replicas})")
    if scaled.idle_replicas is not None and scaled.idle_replicas >= max(1, scaled.min_replicas):
        raise spec.wrong("idleReplicaCount", f"must be below minReplicaCount ({scaled.min_replicas})")
    return scaled


def _trigger(fields: Fields, default_name: str) -> Trigger:
    kind = fields.text("type")
    if kind not in _TRIGGERS:
        raise fields.wrong("type", f"{kind!r} is not simulated, only {', '.join(_TRIGGERS)}")
    source, target, default, activation = _TRIGGERS[kind]
    metadata = fields.under("metadata")
    length = metadata.number(target, default) if default is not None else metadata.number(target)
    if not length:
        raise metadata.wrong(target, "must be above 0")
    return Trigger(
        name=fields.text("name", default_name),
        source=metadata.text(source),
        target=length,
        activation=metadata.number(activation, 0),
        metric_type=fields.choice("metricType", MetricType, MetricType.AVERAGE_VALUE),
    )


def _modifiers(advanced: Fields, triggers: list[Trigger]) -> Modifiers | None:
    if "scalingModifiers" not in advanced:
        return None
    fields = advanced.under("scalingModifiers")
    try:
        formula = Formula(fields.text("formula"))
    except FormulaError as error:
        raise fields.wrong("formula", str(error)) from error
    unknown = formula.names - {trigger.name for trigger in triggers}
    if unknown:
        raise fields.wrong("formula", f"names triggers that are not there: {', '.join(sorted(unknown))}")
    target = fields.number("target")
    if not target:
        raise fields.wrong("target", "must be above 0")
    metric_type = fields.choice("metricType", MetricType, MetricType.AVERAGE_VALUE)
    return Modifiers(formula, target, fields.number("activationTarget", 0), metric_type)


def _fallback(spec: Fields) -> Fallback | None:
    if "fallback" not in spec:
        return None
    fields = spec.under("fallback")
    mode = fields.choice("behavior", FallbackBehavior, FallbackBehavior.STATIC)
    return Fallback(fields.whole("failureThreshold"), fields.whole("replicas"), mode)


def plain_hpa(manifest: Fields) -> PlainHpa:
    """An HPA on CPU or memory. Raises CapacityError, which names the field."""
    spec = manifest.under("spec")
    metrics = [_resource_metric(fields) for fields in spec.each("metrics")]
    if not metrics:
        raise spec.wrong("metrics", "has none")
    bounds = Bounds(spec.whole("minReplicas", 1, least=1), spec.whole("maxReplicas", least=1))
    if bounds.least > bounds.most:
        raise spec.wrong("minReplicas", f"is above maxReplicas ({bounds.most})")
    name = manifest.under("metadata").text("name")
    return PlainHpa(name, spec.under("scaleTargetRef").text("name"), bounds, metrics, behavior(spec))


def _resource_metric(fields: Fields) -> ResourceMetric:
    if fields.text("type") != "Resource":
        raise fields.wrong("type", f"{fields.text('type')!r} is not simulated, only Resource")
    resource = fields.under("resource")
    target = resource.under("target")
    return ResourceMetric(resource.choice("name", Resource, Resource.CPU), target.whole("averageUtilization", least=1))


def behavior(fields: Fields) -> Behavior:
    """`behavior` with Kubernetes' defaults where it says nothing."""
    rules = fields.under("behavior")
    return Behavior(_rules(rules.under("scaleUp"), DEFAULT_UP), _rules(rules.under("scaleDown"), DEFAULT_DOWN))


def _rules(fields: Fields, default: ScalingRules) -> ScalingRules:
    if "tolerance" in fields:
        raise fields.wrong("tolerance", "is not simulated, only the controller's own of 0.1")
    policies = [
        Policy(
            each.choice("type", PolicyType, PolicyType.PODS),
            each.whole("value", least=1),
            each.whole("periodSeconds", least=1),
        )
        for each in fields.each("policies")
    ]
    return ScalingRules(
        policies or default.policies,
        fields.number("stabilizationWindowSeconds", default.window_s),
        fields.choice("selectPolicy", SelectPolicy, SelectPolicy.MAX),
    )
