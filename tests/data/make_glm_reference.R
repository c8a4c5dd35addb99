# Pooled reference fits without random terms (stats::glm), and by penalised quasi-likelihood (MASS::glmmPQL).
# Debian packages: r-cran-mass r-cran-nlme r-cran-jsonlite.  In this folder: Rscript make_glm_reference.R > glm_reference.json
suppressMessages({library(MASS); library(nlme); library(jsonlite)})

read <- function(name) read.csv(paste0(name, ".csv"), stringsAsFactors = FALSE)
text <- function(f) paste(deparse(f, width.cutoff = 500), collapse = "")
with_names <- function(fit, beta, covariance)
  c(fit, list(fixed_effects = as.list(beta), covariance = unname(covariance)))

from_glm <- function(id, f, data, family) {
  m <- glm(f, family = family, data = data, control = glm.control(epsilon = 1e-15, maxit = 100))
  s <- summary(m)
  fit <- list(id = id, method = "glm", formula = text(f), family = family()$family, rows = nrow(data))
  fit <- with_names(fit, coef(m), vcov(m))
  c(fit, list(std_errors = as.list(s$coefficients[, 2]), dispersion = s$dispersion,
              log_likelihood = as.numeric(logLik(m)), aic = AIC(m), bic = BIC(m)))
}

# glmmPQL stops when the linear predictor moves by less than 1e-3 of its length, and lme inside it early as well: the
# same function with the constant 1e-6 (that number squared) replaced, and lme's control tightened, runs to the end.
converged <- local({
  source <- deparse(MASS::glmmPQL)
  stopifnot(sum(grepl("1e-06", source, fixed = TRUE)) == 1)
  eval(parse(text = sub("1e-06", "1e-24", source, fixed = TRUE)), asNamespace("MASS"))
})
tight <- lmeControl(maxIter = 500, msMaxIter = 500, niterEM = 100, tolerance = 1e-12, msTol = 1e-14, opt = "nlminb")

from_lme <- function(m) {
  spread <- as.matrix(m$modelStruct$reStruct[[1]])  # relative to the residual scale
  fit <- with_names(list(), fixef(m), vcov(m))
  c(fit, list(std_errors = as.list(sqrt(diag(vcov(m)))), summary_std_errors = as.list(summary(m)$tTable[, "Std.Error"]),
              random_sd = m$sigma * sqrt(spread[1, 1]), residual_scale = m$sigma))
}

from_pql <- function(id, f, random, data) {
  args <- list(fixed = f, random = random, family = binomial, data = data, niter = 100, verbose = FALSE)
  c(list(id = id, method = "pql", formula = text(f), random = text(random), family = "binomial", rows = nrow(data)),
    from_lme(do.call(converged, c(args, list(control = tight)))),
    list(as_shipped = from_lme(do.call(glmmPQL, args))))
}

indo <- read("indo_rct")
indo$y <- as.integer(indo$outcome == "1_yes")
indo$rx <- relevel(factor(indo$rx), "0_placebo")
medpar <- read("medpar")
medpar$type <- factor(medpar$type)
use <- read("Contraception")
use$y <- as.integer(use$use == "Y")
use$urban <- as.integer(use$urban == "Y")
sleep <- read("sleepstudy")

fits <- list(
  from_glm("indo_rct-glm", y ~ rx + age + risk + gender, indo, binomial),
  from_glm("medpar-glm", died ~ hmo + white + age80 + type, medpar, binomial),
  from_glm("medpar-los-glm", los ~ hmo + white + age80 + type, medpar, poisson),
  from_glm("sleepstudy-glm", Reaction ~ Days, sleep, gaussian),
  from_pql("indo_rct-pql", y ~ rx + age + risk + gender, ~ 1 | site, indo),
  from_pql("medpar-pql", died ~ hmo + white + age80 + type, ~ 1 | provnum, medpar),
  from_pql("contraception-pql", y ~ livch + age + I(age^2) + urban, ~ 1 | district, use)
)
versions <- c(list(R = paste(R.version$major, R.version$minor, sep = ".")),
              lapply(c(MASS = "MASS", nlme = "nlme"), function(p) as.character(packageVersion(p))))
cat(toJSON(list(versions = versions, fits = fits), auto_unbox = TRUE, digits = NA, pretty = TRUE, null = "null"), "\n")
